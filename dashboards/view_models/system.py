"""The machinery: what this process needs, who leads, how fresh everything is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from alerts.definitions import rules_file
from control_plane.platform.http import health
from control_plane.platform.runtime import change_feed, jobs, leases
from control_plane.platform.runtime.change_feed import PublishedChange
from control_plane.platform.runtime.leases import LeaseState
from control_plane.platform.settings import Settings
from dashboards.view_models import guard
from dashboards.view_models.guard import GuardView

CHANGES_MAX = 8


class StreamCounts(Protocol):
    """The number of live streams of this process, and how many it may have."""

    @property
    def open(self) -> int:
        """Return how many are open."""

    @property
    def limit(self) -> int:
        """Return how many may be."""


@dataclass(frozen=True, slots=True)
class SystemScreen:
    """The state of the installation as of `now`, seen from the process that answers."""

    now: datetime
    settings: Settings
    database: str
    checks: Mapping[str, str]
    guard: GuardView
    leader: LeaseState | None
    revision: int
    changes: tuple[PublishedChange, ...]
    streams: StreamCounts
    alerts: int
    alerts_problem: str | None

    @property
    def ready(self) -> bool:
        """Return whether no check keeps requests away from this process."""
        return health.is_passed(*self.checks.values())

    @property
    def leads(self) -> bool:
        """Return whether a leader exists now."""
        return self.leader is not None and self.leader.expires_at > self.now


def read(
    session: Session, settings: Settings, *, checks: Mapping[str, str], streams: StreamCounts, now: datetime
) -> SystemScreen:
    """Return the screen; `checks` are the answers of the readiness pings by name."""
    rules = rules_file.current()
    return SystemScreen(
        now=now,
        settings=settings,
        database=session.get_bind().dialect.name,
        checks=checks,
        guard=guard.read(session, now=now, lease_seconds=settings.guard_lease_seconds),
        leader=leases.find(session, jobs.LEADER),
        revision=change_feed.revision(session),
        changes=tuple(change_feed.latest(session, limit=CHANGES_MAX)),
        streams=streams,
        alerts=len(rules.rules),
        alerts_problem=rules.problem,
    )
