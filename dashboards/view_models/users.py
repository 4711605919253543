"""Users whom the flag treats by name, and the beta allowlist."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.rollout_names import flag_of
from control_plane.rollouts import store as rollout_store
from credits_engine.engines.plans import CATALOGUE
from flags import store
from flags.administration.overrides import unsent_warning
from flags.store import StoredOverride, UserAttributes

BETA_MAX = 200
OVERRIDES_MAX = 500


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
    more: int
    """Overrides that are not shown."""
    warning: str | None
    """Where not all of them travel to SDKs."""
    beta: tuple[UserAttributes, ...]
    beta_size: int
    directory_size: int
    plans: tuple[str, ...]


def read(session: Session, *, flag: str, now: datetime) -> UsersScreen:
    """The screen of `flag`, or of the first flag where it is none."""
    flags = tuple(dict.fromkeys(flag_of(rollout.flag) for rollout in rollout_store.load_all(session)))
    flag = flag if flag in flags else next(iter(flags), "")
    stored = store.list_overrides(session, flag, limit=OVERRIDES_MAX) if flag else []
    named = store.count_overrides(session, flag, now)
    return UsersScreen(
        now=now,
        flags=flags,
        flag=flag,
        overrides=tuple(OverrideView(each, _expired(each, now)) for each in stored),
        more=max(named - OVERRIDES_MAX, 0),
        warning=unsent_warning(session, flag, now),
        beta=tuple(store.first_beta_members(session, limit=BETA_MAX)),
        beta_size=store.count_beta_members(session),
        directory_size=store.count_users(session),
        plans=tuple(plan.name for plan in CATALOGUE),
    )


def _expired(override: StoredOverride, now: datetime) -> bool:
    return override.expires_at is not None and override.expires_at <= now
