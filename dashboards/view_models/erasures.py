"""Erasures: whom one asks for, what stands in the way, what was done, and the last ones on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.erasure import service
from credits_engine.erasure.person_data import Hindrance
from credits_engine.erasure.service import OUTSIDE, Erased
from credits_engine.migration import erasure_manifest
from credits_engine.migration.erasure_manifest import Noted

LATEST = 50


@dataclass(frozen=True, slots=True)
class ErasuresScreen:
    """The form as of `now`: empty, with what stands in the way of erasing a user, or with what was done."""

    now: datetime
    latest: Sequence[Noted]
    user_id: str = ""
    hindrances: Sequence[Hindrance] | None = None
    """None before anybody has asked."""
    mistake: str = ""
    done: Erased | None = None
    outside: Sequence[str] = OUTSIDE

    @property
    def may_erase(self) -> bool:
        """Return whether nothing stands in the way."""
        return self.hindrances is not None and not self.hindrances

    @property
    def places(self) -> int:
        """Return the number of rows in which the pseudonym stands now."""
        return sum(self.done.rows.values()) if self.done else 0


def read(
    session: Session, now: datetime, *, user_id: str = "", mistake: str = "", done: Erased | None = None
) -> ErasuresScreen:
    """Return the screen; a user who is named is looked up. Raises Problem as `service.check` does."""
    latest = erasure_manifest.latest(session, limit=LATEST)
    hindrances = service.check(session, user_id, now) if user_id else None
    return ErasuresScreen(now, latest, user_id, hindrances, mistake, done)
