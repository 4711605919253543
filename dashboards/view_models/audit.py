"""The audit trail, newest first, with the mark that its chain is whole."""

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.platform.auth import audit, audit_check, audit_search
from control_plane.platform.auth.audit import Verification
from control_plane.platform.auth.audit_search import PAGE_ENTRIES, AuditFilter
from control_plane.platform.extensions import AppState
from dashboards.view_models.audit_entry import EntryView, entry_view

NAMES_OFFERED = 200
VALID = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class AuditScreen:
    """One page of the trail. `older` is the id to continue before, None on the last page."""

    now: datetime
    wanted: AuditFilter
    subjects: tuple[str, ...]
    actors: tuple[str, ...]
    actions: tuple[str, ...]
    entries: tuple[EntryView, ...]
    older: int | None
    chain: Verification | None
    verified_at: datetime

    @property
    def filtered(self) -> bool:
        return not self.wanted.is_empty

    @property
    def address(self) -> dict[str, str]:
        """Return the filter as parameters of an address."""
        wanted = self.wanted
        parameters = {"flag": wanted.flag, "actor": wanted.actor, "action": wanted.action, "subject": wanted.subject}
        instants = {
            name: at.isoformat() for name, at in (("since", wanted.since), ("until", wanted.until)) if at is not None
        }
        return {name: word for name, word in parameters.items() if word} | instants


class ChainCheck:
    """The last verification of the whole chain. It reads every entry there is, so looking twice costs it once."""

    def __init__(self) -> None:
        self._last: tuple[Verification, datetime] | None = None
        self._checking = threading.Lock()

    def current(self, session: Session, now: datetime) -> tuple[Verification | None, datetime]:
        """Return the outcome and its time.

        It is at most VALID old for a short trail, of the last pass for a long one.
        """
        if not audit_check.is_short(session):
            return audit_check.last(session) or (None, now)
        with self._checking:
            if self._last is None or not timedelta(0) <= now - self._last[1] < VALID:
                self._last = audit.verify(session), now
            return self._last


CHAIN_CHECK = AppState[ChainCheck]("audit_chain_check")


def read(session: Session, check: ChainCheck, wanted: AuditFilter, *, before: int | None, now: datetime) -> AuditScreen:
    """Return a page of the trail, of those entries that are wanted."""
    chain, verified_at = check.current(session, now)
    found = audit_search.page(session, wanted, before=before, limit=PAGE_ENTRIES + 1)
    listed = found[:PAGE_ENTRIES]
    return AuditScreen(
        now=now,
        wanted=wanted,
        subjects=tuple(audit_search.names(session, "subject", limit=NAMES_OFFERED)),
        actors=tuple(audit_search.names(session, "actor", limit=NAMES_OFFERED)),
        actions=tuple(audit_search.names(session, "action", limit=NAMES_OFFERED)),
        entries=tuple(entry_view(entry) for entry in listed),
        older=listed[-1].id if len(found) > PAGE_ENTRIES else None,
        chain=chain,
        verified_at=verified_at,
    )
