"""The audit trail, newest first, with the mark that its chain is whole."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import Verification
from control_plane.platform.extensions import AppState
from dashboards.view_models.audit_entry import EntryView, entry_view

PAGE_ENTRIES = 50
NAMES_OFFERED = 500
VALID = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class AuditScreen:
    """One page of the trail. `older` is the id to continue before, None on the last page."""

    now: datetime
    subject: str
    actor: str
    subjects: tuple[str, ...]
    actors: tuple[str, ...]
    entries: tuple[EntryView, ...]
    older: int | None
    chain: Verification
    verified_at: datetime

    @property
    def filtered(self) -> bool:
        return bool(self.subject or self.actor)


class ChainCheck:
    """The last verification of the whole chain. It reads every entry there is, so looking twice costs it once."""

    def __init__(self) -> None:
        self._last: tuple[Verification, datetime] | None = None
        self._checking = threading.Lock()

    def current(self, session: Session, now: datetime) -> tuple[Verification, datetime]:
        """The outcome and its time, at most VALID long ago."""
        with self._checking:
            if self._last is None or not timedelta(0) <= now - self._last[1] < VALID:
                self._last = audit.verify(session), now
            return self._last


CHAIN_CHECK = AppState[ChainCheck]("audit_chain_check")


def read(
    session: Session, check: ChainCheck, *, subject: str, actor: str, before: int | None, now: datetime
) -> AuditScreen:
    """A page of the trail, of one subject and one person where they are named."""
    chain, verified_at = check.current(session, now)
    found = audit.latest(
        session, subject=subject or None, actor=actor or None, limit=PAGE_ENTRIES + 1, before_id=before
    )
    listed = found[:PAGE_ENTRIES]
    return AuditScreen(
        now=now,
        subject=subject,
        actor=actor,
        subjects=tuple(audit.subjects(session, limit=NAMES_OFFERED)),
        actors=tuple(audit.actors(session, limit=NAMES_OFFERED)),
        entries=tuple(entry_view(entry) for entry in listed),
        older=listed[-1].id if len(found) > PAGE_ENTRIES else None,
        chain=chain,
        verified_at=verified_at,
    )
