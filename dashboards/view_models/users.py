"""Users whom the flag treats by name, and the beta allowlist."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.rollout_names import flag_of
from control_plane.rollouts import store as rollout_store
from credits_engine.engines.plans import CATALOGUE
from flags import store
from flags.administration.overrides import unsent_warning
from flags.store import StoredOverride, UserAttributes

PAGE = 50


@dataclass(frozen=True, slots=True)
class OverrideView:
    """One override; one that has ended counts no more and is put away soon."""

    override: StoredOverride
    ended: bool


@dataclass(frozen=True, slots=True)
class UsersScreen:
    """Overrides of one flag and the beta allowlist, as of `now`. `beta_size` counts those not shown, too."""

    now: datetime
    flags: tuple[str, ...]
    flag: str
    overrides: tuple[OverrideView, ...]
    next_override: str | None
    """The user after whom the overrides go on; None on their last page."""
    warning: str | None
    """Where not all of them travel to SDKs."""
    beta: tuple[UserAttributes, ...]
    beta_size: int
    next_member: str | None
    """The user after whom the allowlist goes on; None on its last page."""
    directory_size: int
    plans: tuple[str, ...]


def read(session: Session, *, flag: str, now: datetime, after: str = "", beta_after: str = "") -> UsersScreen:
    """Return the screen of `flag`, or of the first flag where it is none.

    It shows overrides and the allowlist behind these users.
    """
    flags = tuple(dict.fromkeys(flag_of(name) for name in rollout_store.names(session)))
    flag = flag if flag in flags else next(iter(flags), "")
    stored = store.list_overrides(session, flag, after=after, limit=PAGE + 1) if flag else []
    overrides = _whole(stored)
    members = store.beta_page(session, after=beta_after, limit=PAGE + 1)
    return UsersScreen(
        now=now,
        flags=flags,
        flag=flag,
        overrides=tuple(OverrideView(each, _expired(each, now)) for each in overrides),
        next_override=overrides[-1].user_id if len(stored) > len(overrides) else None,
        warning=unsent_warning(session, flag, now),
        beta=tuple(members[:PAGE]),
        beta_size=store.count_beta_members(session),
        next_member=members[PAGE - 1].user_id if len(members) > PAGE else None,
        directory_size=store.count_users(session),
        plans=tuple(plan.name for plan in CATALOGUE),
    )


def _whole(stored: Sequence[StoredOverride]) -> Sequence[StoredOverride]:
    """Cut a page where a user ends, who may have two overrides: the next one begins behind a user."""
    cut = PAGE - (len(stored) > PAGE and stored[PAGE - 1].user_id == stored[PAGE].user_id)
    return stored[:cut]


def _expired(override: StoredOverride, now: datetime) -> bool:
    return override.expires_at is not None and override.expires_at <= now
