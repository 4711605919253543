"""`python -m tests.bench.guard_live`: how long the running guard takes, on real servers and real databases.

Each drill breaks v2 for a flag that serves nobody at 100 operations a second. What counts runs from the operation
whose outcome completed the evidence to the last one that v2 still served, in a process other than the server's.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from alerts import guard
from alerts.analysis.rules import Rule
from alerts.definitions import rules_file
from alerts.definitions.parser import parse
from alerts.drill import runner
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.cohort_names import Cohort
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.experiments.registry import migrations
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import leases
from control_plane.platform.settings import Settings
from credits_engine.engines.amounts import Amounts
from credits_engine.operations import guard_signals
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from flags.store import UserAttributes
from tests import postgres
from tests.alerts.inbound.notifications import alert, notification
from tests.applications import application
from tests.installation import Installation
from tests.processes import free_port
from tests.serving import ROOT, Served, serving

DRILLS = 100
PER_SECOND = 100
HEALTHY_SECONDS = 0.5
FLAGS, TICKS = 50, 60
TIMEOUT_SECONDS = 30.0
POSTS, ROUNDS = 20, 20
ASKED = """
  credits_elsewhere:
    threshold: 1%
    window: 5m
    severity: warning
    metric: credits_elsewhere
    query: {bad: sum(bad_total), total: sum(all_total)}
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach and what was seen."""

    name: str
    wanted: str
    seen: str
    met: bool


def main() -> int:
    """Print every figure; 0 when all were reached, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guard_live", description=__doc__)
    parser.add_argument("--drills", type=int, default=DRILLS, help=f"drills per installation ({DRILLS})")
    drills = parser.parse_args().drills
    goals: list[Goal] = []
    for measure in (counted, ticked, on_sqlite, on_postgresql, with_everything_else_down):
        for goal in measure(drills):
            goals.append(goal)
            sys.stdout.write(f"{'ok  ' if goal.met else 'MISS'} {goal.name:72} {goal.wanted:>10} {goal.seen:>12}\n")
            sys.stdout.flush()
    return 0 if all(goal.met for goal in goals) else 1


def counted(_drills: int) -> Iterator[Goal]:
    """Measure what counting for the guard adds to a consumption, after its commit."""
    with _installed() as (installation, _place, _url), installation.app.app_context():
        installation.users(UserAttributes("u1", "pro"))
        with transaction() as session:
            receipt = consume(
                session,
                Operation("u1", "k1", Amounts(analysis=1), "bench"),
                now=datetime.now(UTC),
                evaluate=lambda _: FlagEvaluation(enabled=True, reason="bench", revision=1),
            )

        def count() -> None:
            signals.record(
                *guard_signals.outcome_signals(receipt),
                *guard_signals.exempt_signals(receipt),
                guard_signals.retry_signal(receipt),
            )

        runs = timeit.repeat(count, number=2_000, repeat=20, timer=time.process_time)
    millis = min(runs) / 2_000 * 1000
    yield Goal("added to a consumption by counting it", "<= 0.2 ms", f"{millis:.3f} ms", millis <= 0.2)


def ticked(_drills: int) -> Iterator[Goal]:
    """Run one tick with fifty flags, of which each has alerts and the credits' traffic of many accounts."""
    with _installed() as (installation, _place, _url), installation.app.app_context():
        now = datetime.now(UTC)
        with transaction() as session:
            for number in range(FLAGS - 1):
                rollouts.plan(session, f"FLAG_{number}", default_plan(now), ChangeContext(now, "bench", "To measure."))
        rules = rules_file.current()
        rules.rules = (*rules.refresh(), *parse(_alerts_of_flags(), migrations()))
        millis = [_tick_millis(installation, rules.rules, now + timedelta(seconds=second)) for second in range(TICKS)]
    middle = statistics.median(millis)
    yield Goal(f"a tick with {FLAGS} flags, median of {TICKS}, processor", "<= 20 ms", f"{middle:.1f} ms", middle <= 20)


def _alerts_of_flags() -> str:
    """Return two alerts for each flag but the credits'."""
    lines = [
        f"  {metric}_{number}: {{threshold: {threshold}, window: 5m, severity: warning, metric: {metric}, "
        f"flag: FLAG_{number}}}"
        for number in range(FLAGS - 1)
        for metric, threshold in (("api_error_rate", "1%"), ("database_query_slow", "500ms"))
    ]
    return "\n".join(["alerts:", *lines])


def _tick_millis(installation: Installation, rules: Sequence[Rule], now: datetime) -> float:
    """Count a second of traffic, and measure the tick that judges it."""
    for number in range(PER_SECOND):
        plan, near = Cohort("plan", "pro" if number % 3 else "starter"), (Cohort("near the limit"),) * (number % 9 == 0)
        of_operation = (plan, Cohort("kind", "analysis"), *near)
        account = f"u{(number * 7919 + now.second) % 1000}"
        signals.record(
            *(
                Sample(signal, bad=False, engine=engine, account=account, cohorts=of_operation)
                for signal in ("credit_consumption_failure", "credit_serving_failure", "credit_variance")
                for engine in ("v2", "legacy")
            ),
            *(Sample(signal, bad=False) for signal in ("api_error_rate", "database_query_slow")),
        )
    began = time.process_time()
    with transaction() as session:
        signals.write(session, now)
        guard.tick(session, rules, now=now, term=1, lease_seconds=30)
    return (time.process_time() - began) * 1000


def on_sqlite(drills: int) -> Iterator[Goal]:
    """Measure one worker."""
    with _installed() as (installation, place, url), serving(place, DATABASE_URL=url) as served:
        yield from _drilled("SQLite, one worker", installation, drills)
        yield from _posted("SQLite, one worker", installation, served)


def on_postgresql(drills: int) -> Iterator[Goal]:
    """Measure two workers."""
    with (
        postgres.running() as server,
        postgres.database(server) as database,
        _installed(database) as (installation, place, url),
        serving(place, DATABASE_URL=url, WORKERS="2") as served,
    ):
        yield from _drilled("PostgreSQL, two workers", installation, drills)
        yield from _posted("PostgreSQL, two workers", installation, served)


def with_everything_else_down(drills: int) -> Iterator[Goal]:
    """Prometheus is asked and every notice sent where nobody answers, and Alertmanager sends nothing."""
    nobody = f"127.0.0.1:{free_port()}"
    with _installed() as (installation, place, url):
        alerts = place / "asking.yaml"
        alerts.write_text((ROOT / "alerts.yaml").read_text().rstrip() + "\n" + ASKED)
        down = {"PROMETHEUS_URL": f"http://{nobody}", "NOTIFY_URLS": f"json://{nobody}/,jsons://{nobody}/"}
        with serving(place, DATABASE_URL=url, ALERTS_FILE=str(alerts), **down):
            yield from _drilled("SQLite, all others down", installation, drills, telling=True)


@contextmanager
def _installed(database_url: str = "") -> Iterator[tuple[Installation, Path, str]]:
    """Yield an installation whose rollout serves 10 % of everybody."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        url = database_url or f"sqlite:///{place / 'rollout.db'}"
        settings = Settings(database_url=url, instance_dir=place, secret_key="-", background=False)
        with application(settings) as app:
            installation = Installation(app)
            installation.plan()
            installation.move(3)
            yield installation, place, url


def _drilled(where: str, installation: Installation, drills: int, *, telling: bool = False) -> Iterator[Goal]:
    if not drills:
        return
    millis: list[int] = []
    with installation.app.app_context():
        _wait_for_the_guard()
        for _ in range(drills):
            if telling:
                _change(installation)
            report = runner.run(
                per_second=PER_SECOND, timeout_seconds=TIMEOUT_SECONDS, actor="bench", healthy_seconds=HEALTHY_SECONDS
            )
            millis.append(round(TIMEOUT_SECONDS * 1000) if report.milliseconds is None else report.milliseconds)
    name = f"evidence complete to last operation of v2, {drills} drills, {where}"
    p50, p99 = statistics.median(millis), _percentile(millis, 0.99)
    yield Goal(f"{name}, p50", "<= 1 s", f"{p50:,.0f} ms", p50 <= 1000)
    yield Goal(f"{name}, p99", "<= 2 s", f"{p99:,.0f} ms", p99 <= 2000)


def _posted(where: str, installation: Installation, served: Served) -> Iterator[Goal]:
    """Measure from the first of twenty identical posts to the latch; the first answer comes after its commit."""
    headers = {"Authorization": f"Bearer {installation.token('service')}"}
    latched, answered, rollbacks = [], [], []
    for _ in range(ROUNDS):
        installation.move(3)
        began = datetime.now(UTC)
        body = notification(alert(began - timedelta(seconds=5)))
        seconds = _at_once(f"{served.url}/webhooks/alertmanager", body, headers)
        latched.append(min(seconds) * 1000)
        answered.append(max(seconds) * 1000)
        rollbacks.append(_rollbacks(installation, began))
    once = all(count == 1 for count in rollbacks)
    name = f"{POSTS} identical posts at once, {where}"
    yield Goal(f"{name}: latched, slowest of {ROUNDS}", "<= 1 s", f"{max(latched):,.0f} ms", max(latched) <= 1000)
    yield Goal(f"{name}: the last one answered", "<= 5 s", f"{max(answered):,.0f} ms", max(answered) <= 5000)
    yield Goal(f"{name}: rollbacks each time", "1", ", ".join(map(str, sorted(set(rollbacks)))), once)


def _at_once(url: str, body: dict[str, Any], headers: dict[str, str]) -> list[float]:
    """Return the seconds until each post was answered."""
    together, answers, seconds = threading.Barrier(POSTS + 1), [], []

    def post() -> None:
        together.wait()
        began = time.perf_counter()
        answers.append(requests.post(url, json=body, headers=headers, timeout=10).status_code)
        seconds.append(time.perf_counter() - began)

    posting = [threading.Thread(target=post) for _ in range(POSTS)]
    for thread in posting:
        thread.start()
    together.wait()
    for thread in posting:
        thread.join()
    assert answers == [200] * POSTS, answers
    return seconds


def _rollbacks(installation: Installation, since: datetime) -> int:
    with installation.app.app_context(), read_only() as session:
        assert rollouts.find(session, FLAG).latched
        entries = audit.latest(session, subject=f"rollout:{FLAG}", limit=POSTS + 5)
    mine = [entry for entry in entries if entry.at >= since and entry.action == "rollout.roll_back"]
    return sum((entry.before or {})["state"] != "rolled_back" for entry in mine)


def _change(installation: Installation) -> None:
    """Commit two changes that everybody would be notified of, if anybody could be reached."""
    with installation.app.app_context(), transaction() as session:
        rollouts.hold(session, FLAG, ChangeContext(datetime.now(UTC), "bench", "To be told."))
        rollouts.resume(session, FLAG, ChangeContext(datetime.now(UTC), "bench", "To be told."))


def _wait_for_the_guard() -> None:
    while True:
        with read_only() as session:
            expires_at = leases.guard_expires_at(session)
        if expires_at is not None and expires_at > datetime.now(UTC):
            return
        time.sleep(0.1)


def _percentile(values: Sequence[float], level: float) -> float:
    return sorted(values)[min(len(values) - 1, round(level * len(values)))]


if __name__ == "__main__":
    sys.exit(main())
