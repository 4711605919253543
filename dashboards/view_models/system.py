"""The machinery: what this process needs, who leads, how fresh everything is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.definitions import rules_file
from control_plane.platform.models import Change, Lease
from control_plane.platform.runtime import change_feed, jobs
from control_plane.platform.settings import Settings
from dashboards.view_models import guard
from dashboards.view_models.guard import GuardView

CHANGES_SHOWN = 8


class StreamCounts(Protocol):
    """The number of live streams of this process, and how many it may have."""

    open: int
    limit: int


@dataclass(frozen=True, slots=True)
class SystemScreen:
    """The state of the installation as of `now`, seen from the process that answers."""

    now: datetime
    settings: Settings
    database: str
    checks: Mapping[str, str]
    guard: GuardView
    leader: Lease | None
    revision: int
    changes: tuple[Change, ...]
    streams: StreamCounts
    alerts: int
    alerts_problem: str | None

    @property
    def ready(self) -> bool:
        return all(answer == "ok" for answer in self.checks.values())

    @property
    def leads(self) -> bool:
        """Return whether a leader exists now."""
        return self.leader is not None and self.leader.expires_at > self.now


def read(
    session: Session, settings: Settings, *, checks: Mapping[str, str], streams: StreamCounts, now: datetime
) -> SystemScreen:
    """The screen; `checks` are the answers of the readiness pings by name."""
    newest = select(Change).order_by(Change.id.desc()).limit(CHANGES_SHOWN)
    rules = rules_file.current()
    return SystemScreen(
        now=now,
        settings=settings,
        database=session.get_bind().dialect.name,
        checks=checks,
        guard=guard.read(session, now=now, lease_seconds=settings.guard_lease_seconds),
        leader=session.get(Lease, jobs.LEADER),
        revision=change_feed.revision(session),
        changes=tuple(session.scalars(newest)),
        streams=streams,
        alerts=len(rules.rules),
        alerts_problem=rules.problem,
    )
