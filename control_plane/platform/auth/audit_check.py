"""The whole trail checked again and again, a part each time, so that a page can tell and nobody waits for it."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from flask import Flask
from sqlalchemy.orm import Session

from control_plane.platform.auth import audit, audit_head
from control_plane.platform.auth.audit import NOWHERE, Verification
from control_plane.platform.auth.audit_head import End
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.models import AuditCheck
from control_plane.platform.runtime import jobs

ROW = 1
CHECK_SECONDS = 10.0
PART = 5_000
"""Entries checked at a time; a trail that is no longer is checked whole whenever somebody looks."""

log = structlog.get_logger()


@dataclass(slots=True)
class Place:
    """How far this process has come in its present pass."""

    end: End = NOWHERE


PLACE = AppState[Place]("audit_check_place", Place)


def is_short(session: Session) -> bool:
    """Return whether the trail is short enough to be checked while somebody waits."""
    head = audit_head.read(session)
    return head is None or head.entries <= PART


def last(session: Session) -> tuple[Verification, datetime] | None:
    """Return the outcome of the last whole pass and its time; None before the first."""
    row = session.get(AuditCheck, ROW, populate_existing=True)
    return (Verification(row.checked, row.first_broken, row.problem), row.at) if row else None


def check_part(now: datetime) -> None:
    """Check the next part, and store the outcome at the end of a pass or at the first entry that does not fit."""
    place = PLACE.get()
    with read_only() as session:
        end, broken = audit.follow(session, place.end, entries_max=PART)
        if broken is None and end.entries - place.end.entries == PART:
            place.end = end
            return
        place.end = NOWHERE
        problem = "" if broken else audit_head.problem(session, end)
        if problem and audit.follow(session, end)[0] != end:
            return  # written while we looked; the next pass has it
    if broken or problem:
        log.error("audit.broken", first_broken=broken, problem=problem)
    with transaction() as session:
        row = session.get(AuditCheck, ROW) or AuditCheck(id=ROW)
        row.at, row.checked, row.first_broken, row.problem = now, end.entries, broken, problem
        session.add(row)


def init_app(app: Flask) -> None:
    """Let the leader check."""
    jobs.run_on_leader(app, CHECK_SECONDS, "check-audit", check_part)
