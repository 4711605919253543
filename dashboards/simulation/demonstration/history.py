"""Three and a half weeks of made-up usage before a demonstration begins, and the same users afterwards."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration
from control_plane.platform.db.database import transaction
from dashboards.simulation.auto_owner import AutoOwner
from dashboards.simulation.fault_injection import FaultInjectingEngine
from dashboards.simulation.replay import Replay
from dashboards.simulation.simulator import ACTOR
from dashboards.simulation.traffic import generate_traffic
from dashboards.simulation.usage_log import UsageRow

OWNER = AutoOwner(patience=1, risk=0.2)
"""So little usage proves little: the owner takes a risk, which the audit trail says each time."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""The clock of the made-up usage: an operation a second from here."""
FIRST_USERS = timedelta(seconds=1)
"""Without a past, whoever comes this early signed up before the rollout."""
DAYS, LATEST = timedelta(days=26), timedelta(hours=1)
EARLIER_OPERATIONS, LATEST_OPERATIONS = 1500, 300


class Usage:
    """Made-up usage: a past that ends now, a denser hour at its end, and a present without an end."""

    def __init__(self, *, seed: int, now: datetime) -> None:
        """Generate the same usage for the same seed."""
        self._now = now
        self._has_past = False
        self._rows = generate_traffic(seed=seed, begins_at=LONG_AGO, between=timedelta(seconds=1), operations=10**9)

    def past(self) -> Iterator[UsageRow]:
        """Yield what happened before now, at its times."""
        self._has_past = True
        for row in self._rows:
            at = self._moment(row.occurred_at)
            if at >= self._now:
                return
            yield replace(row, occurred_at=at, signed_up_at=self._moment(row.signed_up_at or row.occurred_at))

    def present(self) -> Iterator[UsageRow]:
        """Yield what comes after the past that was taken; who is new has signed up now."""
        for row in self._rows:
            now = datetime.now(UTC)
            since = self._moment(row.signed_up_at or row.occurred_at) if self._has_past else now
            yield replace(row, signed_up_at=min(since, now))

    def _moment(self, generated: datetime) -> datetime:
        """Map the clock of the made-up usage to ours."""
        seconds = (generated - LONG_AGO).total_seconds()
        if seconds < EARLIER_OPERATIONS:
            return self._now - DAYS + (DAYS - LATEST) * (seconds / EARLIER_OPERATIONS)
        return self._now - LATEST + LATEST * ((seconds - EARLIER_OPERATIONS) / LATEST_OPERATIONS)


def begin_today(now: datetime, soak: timedelta) -> None:
    """Plan the guide's rollout without a past, with steps that last no longer than somebody watches."""
    guide = default_plan(now + FIRST_USERS)
    phases = tuple(replace(phase, soak=soak, served_minimum=0) for phase in guide.phases)
    with transaction() as session:
        rollouts.plan(session, FLAG, replace(guide, phases=phases), ChangeContext(now, ACTOR, "A demonstration."))


def perform(usage: Usage, *, beta: frozenset[str], seed: int) -> None:
    """Take the past through the guide's rollout on its own clock, on the current application's fresh database."""
    rows = usage.past()
    first = next(rows)
    replay = Replay(FaultInjectingEngine([], seed=seed), beta=beta, owner=OWNER)
    replay.prepare(first.occurred_at)
    replay.run(rows, lambda _: None)


def shorten(soak: timedelta, now: datetime) -> None:
    """Let the steps that are left last no longer than somebody watches."""
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        phases = tuple(replace(phase, soak=soak, served_minimum=0) for phase in found.plan.phases)
        change = ChangeContext(now, ACTOR, "Soak times of seconds, so that somebody can watch.")
        plan = replace(found.plan, phases=phases)
        administration.edit(session, FLAG, plan, change, expected_version=found.version)
