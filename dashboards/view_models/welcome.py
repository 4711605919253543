"""The three steps of a new installation, each ticked by what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout, RolloutState, positions
from control_plane.platform.auth import tokens
from control_plane.platform.identity_types import TokenType
from flags import store


@dataclass(frozen=True, slots=True)
class WelcomeView:
    """How far a new installation has come. `flag` is that whose rollout waits at its lowest step, if there is one."""

    flag: str
    has_flag: bool
    has_token: bool
    is_connected: bool
    """Whether a service has used one of its tokens."""

    @property
    def done(self) -> int:
        """Return how many steps are done."""
        return sum((self.has_flag, self.has_token, self.is_connected))


def read(session: Session, found: Sequence[Rollout]) -> WelcomeView | None:
    """Return the steps, until the first rollout has moved, or until they are done where there is none."""
    if not all(map(_is_new, found)):
        return None
    held = [each for each in tokens.list_tokens(session) if each.type is not TokenType.ADMIN]
    view = WelcomeView(
        flag=found[0].flag if found else "",
        has_flag=bool(found) or bool(store.switches(session)),
        has_token=any(each.revoked_at is None for each in held),
        is_connected=any(each.last_seen_at is not None for each in held),
    )
    return view if found or view.done < 3 else None


def _is_new(rollout: Rollout) -> bool:
    at_first = rollout.attempt == 1 and rollout.position == positions(rollout.plan)[0]
    return at_first and rollout.state is RolloutState.RUNNING and not rollout.archived
