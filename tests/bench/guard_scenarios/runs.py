"""One run of a scenario, from a new installation to what the guard did."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests import postgres
from tests.bench.guard_scenarios.faults import FAULTS
from tests.bench.guard_scenarios.scenario import Scenario
from tests.bench.guard_scenarios.variants import VARIANTS
from tests.faults.served_rollout import ServedRollout, served_rollout

HEALTHY = 100
SCENARIOS: Mapping[str, Scenario] = {**FAULTS, **VARIANTS}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one run."""

    scenario: str
    seed: int
    database: str
    right: bool
    operations: int
    """After which the guard acted, or how many there were."""
    state: str
    reason: str
    statuses: dict[int, int]
    """How many requests were answered with which status."""


def run(name: str, seed: int, *, server: str = "") -> Outcome:
    """Serve an installation, on a database of that PostgreSQL server if there is one, and break it."""
    scenario = SCENARIOS[name]
    with _installation(scenario, seed, server) as rollout:
        rollout.ask_any(HEALTHY)
        rollout.settle()
        was_running = rollout.state == "running"
        operations = scenario.run(rollout) if was_running else 0
        rollout.settle()
        found = rollout.rollout
        return Outcome(
            name,
            seed,
            "postgresql" if server else "sqlite",
            was_running and scenario.is_right(rollout),
            operations,
            found.get("state", ""),
            found.get("state_reason", ""),
            dict(rollout.statuses),
        )


@contextmanager
def _installation(scenario: Scenario, seed: int, server: str) -> Iterator[ServedRollout]:
    more = {"more_alerts": scenario.more_alerts}
    begin = partial(served_rollout, plan=scenario.plan, position=scenario.position, seed=seed, **more)
    if not server:
        with begin() as rollout:
            yield rollout
        return
    with postgres.database(server) as url, begin(database_url=url, WORKERS="2") as rollout:
        yield rollout
