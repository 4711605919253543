"""The guard's heartbeat."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.platform.runtime import leases


@dataclass(frozen=True, slots=True)
class GuardView:
    """The guard's lease. `heartbeat_at` is its last heartbeat, None before the first."""

    alive: bool
    heartbeat_at: datetime | None

    @property
    def status(self) -> str:
        return "alive" if self.alive else "silent"


def read(session: Session, *, now: datetime, lease_seconds: float) -> GuardView:
    """Return the guard as the database knows it."""
    expires_at = leases.guard_expires_at(session)
    if expires_at is None:
        return GuardView(alive=False, heartbeat_at=None)
    return GuardView(alive=expires_at > now, heartbeat_at=expires_at - timedelta(seconds=lease_seconds))
