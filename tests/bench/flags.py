"""How fast flags are served: requests per second, streams, and the time from a change to an SDK that knows it.

Run `python -m tests.bench.flags`. The server is the real one with one worker and its token checks; the load comes
from this process over connections that stay open.
"""

import socket
import statistics
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from control_plane import rollouts
from control_plane.audiences.exposure import Exposure
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from flags.administration.imports import ImportOptions, import_definitions
from flags.evaluation.evaluator import EvaluationContext, RolloutFlag, evaluate
from tests import postgres
from tests.applications import application
from tests.bench.load import Load, Request, load
from tests.bench.results import of_goals, record
from tests.installation import CUTOVER, Installation
from tests.serving import Served, serving

FLAGS = 350
STREAMS, LISTENERS = 500, 500
CHANGES = 200
SECONDS = 4.0
SETTLE_SECONDS = 2.0
USERS = [f"user-{number}" for number in range(1000)]
SPEC = {"Unleash-Client-Spec": "6.1.0"}
JSON = {"Content-Type": "application/json"}
SLOWED_AT_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach and what was seen."""

    name: str
    wanted: str
    seen: str
    met: bool


def main() -> int:
    """Print every figure; 0 when all were reached, else 1."""
    goals: list[Goal] = []
    for measure in (in_process, with_one_rollout, with_phased_flags, with_imported_flags, on_sqlite, on_postgresql):
        for goal in measure():
            goals.append(goal)
            sys.stdout.write(f"{'ok  ' if goal.met else 'MISS'} {goal.name:66} {goal.wanted:>12} {goal.seen:>12}\n")
            sys.stdout.flush()
    record("flags", of_goals(goals))
    return 0 if all(goal.met for goal in goals) else 1


def in_process() -> Iterator[Goal]:
    """Measure one evaluation, without and with a million users on the allowlist."""
    for members in (0, 1_000_000):
        flag, context, now = _phased(members), EvaluationContext("user-7", datetime.now(UTC)), datetime.now(UTC)
        runs = timeit.repeat(lambda: evaluate(flag, context, now), number=20_000, repeat=5)  # noqa: B023
        micros = min(runs) / 20_000 * 1e6
        name = f"evaluation of a phased flag in process, {members:,} allowlisted"
        yield Goal(name, "<= 5 us", f"{micros:.1f} us", micros <= 5)


def with_one_rollout() -> Iterator[Goal]:
    """Measure a server with the rollout that it is made for."""
    with _served(_plan_one) as (served, installation):
        sdk = installation.token("client")
        yield from _single("OFREP, one flag", served, [_evaluation(sdk, FLAG, user) for user in USERS])


def with_phased_flags() -> Iterator[Goal]:
    """Measure a server whose 350 flags are all under a rollout, each of which the guard watches."""
    with _served(_plan_many) as (served, installation):
        browser, sdk = installation.token("frontend"), installation.token("client")
        frontend = [toggles(browser, user) for user in USERS]
        yield _rate(f"frontend API, {FLAGS} phased flags", 1000, load(served.url, frontend, seconds=SECONDS))
        single = [_evaluation(sdk, f"FLAG_{number % FLAGS}", user) for number, user in enumerate(USERS)]
        yield from _single(f"OFREP, one flag of {FLAGS} phased ones", served, single)


def _single(name: str, served: Served, single: list[Request]) -> Iterator[Goal]:
    yield _rate(name, 5000, load(served.url, single, seconds=SECONDS))
    steady = load(served.url, single, seconds=SECONDS, per_second=1000)
    p99 = steady.percentile(0.99)
    yield Goal(f"{name}, p99 at 1,000/s", "< 5 ms", f"{p99:.1f} ms", p99 < 5)


def with_imported_flags() -> Iterator[Goal]:
    """Measure a server with 350 flags in Unleash's own words, without and with 500 open streams."""
    with _served(_import_many) as (served, installation):
        sdk, browser = installation.token("client"), installation.token("frontend")
        whole = Request("GET", "/api/client/features", {"Authorization": sdk, **SPEC})
        answer = requests.get(served.url + whole.path, headers=whole.headers, timeout=10)
        again = Request("GET", whole.path, whole.headers | {"If-None-Match": answer.headers["ETag"]})
        size = len(answer.content) / 1000
        wanted = {
            f"features, {FLAGS} flags, {size:.0f} kB, 200": ([whole], 3000),
            "features, 304": ([again], 8000),
            f"frontend API, {FLAGS} imported flags": ([toggles(browser, user) for user in USERS], 300),
        }
        alone = {}
        for name, (asked, goal) in wanted.items():
            alone[name] = load(served.url, asked, seconds=SECONDS)
            yield _rate(name, goal, alone[name])
        with _streams(served, installation, STREAMS) as count:
            yield Goal("streams open on one worker", f">= {STREAMS}", f"{count}", count >= STREAMS)
            for name, (asked, _) in wanted.items():
                least = alone[name].per_second * SLOWED_AT_MOST
                yield _rate(f"{name}, {STREAMS} streams open", least, load(served.url, asked, seconds=SECONDS))


def on_sqlite() -> Iterator[Goal]:
    """Measure from the answer to a change made over HTTP to an SDK that follows."""
    with _served() as (served, installation):
        yield from _propagation("SQLite", served, installation)


def on_postgresql() -> Iterator[Goal]:
    """Measure how fast a change reaches streams, on PostgreSQL."""
    with (
        postgres.running() as server,
        postgres.database(server) as url,
        _served(database_url=url) as (served, installation),
    ):
        yield from _propagation("PostgreSQL", served, installation)


def _propagation(name: str, served: Served, installation: Installation) -> Iterator[Goal]:
    headers = {"Authorization": installation.token("admin")}
    body = {"name": "switched", "environments": {"production": False}}
    requests.post(f"{served.url}/api/flags", json=body, headers=headers, timeout=10).raise_for_status()
    path = f"{served.url}/api/flags/switched/environments/production"
    millis = []
    with _streams(served, installation, LISTENERS), _follower(served, installation) as client:
        for number in range(CHANGES):
            wanted = number % 2 == 0
            change = {"enabled": wanted, "reason": "A measurement."}
            requests.put(path, json=change, headers=headers, timeout=10).raise_for_status()
            committed = time.perf_counter()
            while client.is_enabled("switched") is not wanted:
                time.sleep(0.0005)
            millis.append((time.perf_counter() - committed) * 1000)
    p50, p99 = statistics.median(millis), sorted(millis)[int(CHANGES * 0.99) - 1]
    where = f"change to UnleashClient, {LISTENERS} other streams, {name}"
    yield Goal(f"{where}, p50", "<= 50 ms", f"{p50:.0f} ms", p50 <= 50)
    yield Goal(f"{where}, p99", "<= 250 ms", f"{p99:.0f} ms", p99 <= 250)


@contextmanager
def _served(*prepare: Callable[[Installation], None], database_url: str = "") -> Iterator[tuple[Served, Installation]]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        url = database_url or f"sqlite:///{place / 'rollout.db'}"
        settings = Settings(database_url=url, instance_dir=place, secret_key="-", background=False)
        with application(settings) as app:
            installation = Installation(app)
            for each in prepare:
                each(installation)
            with serving(place, DATABASE_URL=url) as served:
                _warm_up(served, installation)
                yield served, installation


def _warm_up(served: Served, installation: Installation) -> None:
    """Let the guard take the lead, and the paths to be measured be walked once: that is a start, not a service."""
    load(served.url, [_evaluation(installation.token("client"), FLAG, USERS[0])], seconds=SETTLE_SECONDS)


def _plan_one(installation: Installation) -> None:
    installation.plan()
    installation.move(3, 1)


def _plan_many(installation: Installation) -> None:
    now = datetime.now(UTC)
    with installation.app.app_context(), transaction() as session:
        for number in range(FLAGS):
            rollouts.plan(session, f"FLAG_{number}", default_plan(CUTOVER), ChangeContext(now, "bench", "-"))
    for number in range(FLAGS):
        installation.move(3, 1, flag=f"FLAG_{number}")


def _import_many(installation: Installation) -> None:
    with installation.app.app_context(), transaction() as session:
        import_definitions(
            session,
            "production",
            {"features": [feature(number) for number in range(FLAGS)]},
            ChangeContext(datetime.now(UTC), "bench", "-"),
            ImportOptions(replace=True),
        )


def feature(number: int) -> dict[str, Any]:
    """Return one of the imported flags."""
    rollout = {"rollout": str(number % 101), "stickiness": "userId", "groupId": f"flag-{number}"}
    pro = {"contextName": "plan", "operator": "IN", "values": ["pro", "team", "enterprise"]}
    constraints = [pro] if number % 2 else []
    strategy = {"name": "flexibleRollout", "parameters": rollout, "constraints": constraints}
    return {"name": f"flag-{number}", "enabled": number % 5 != 0, "strategies": [strategy]}


def _phased(members: int) -> RolloutFlag:
    now = datetime.now(UTC)
    return RolloutFlag(
        key=FLAG,
        environment="production",
        revision=1,
        exposure=Exposure(allowlist=True, new_signups_percentage=100, everyone_percentage=25),
        new_signups_after=now - timedelta(days=30),
        guard_expires_at=now + timedelta(days=1),
        beta=frozenset(f"member-{number}" for number in range(members)),
    )


def toggles(token: str, user: str) -> Request:
    """Return the request of a browser for a user's flags."""
    return Request("GET", f"/api/frontend?userId={user}&properties[plan]=pro", {"Authorization": token})


def _evaluation(token: str, flag: str, user: str) -> Request:
    body = b'{"context": {"targetingKey": "%s"}}' % user.encode()
    return Request("POST", f"/ofrep/v1/evaluate/flags/{flag}", {"Authorization": token, **JSON}, body)


def _rate(name: str, wanted: float, seen: Load) -> Goal:
    met = seen.per_second >= wanted and seen.statuses <= {200, 304}
    return Goal(name, f">= {wanted:,.0f}/s", f"{seen.per_second:,.0f}/s", met)


@contextmanager
def _streams(served: Served, installation: Installation, wanted: int) -> Iterator[int]:
    """Hold `wanted` streams open, whose events are read and thrown away."""
    address = urlsplit(served.url)
    token = installation.token("client")
    request = Request("GET", "/api/client/streaming", {"Authorization": token}).encoded(address.netloc)
    opened = []
    for _ in range(wanted):
        opened.append(socket.create_connection((address.hostname or "", address.port or 0)))
        opened[-1].sendall(request)
    statuses = [stream.recv(65536)[9:12] for stream in opened]
    over = threading.Event()
    reader = threading.Thread(target=_drain, args=[opened, over], daemon=True)
    reader.start()
    yield statuses.count(b"200")
    over.set()
    reader.join()
    for stream in opened:
        stream.close()


def _drain(streams: list[socket.socket], over: threading.Event) -> None:
    for stream in streams:
        stream.setblocking(False)
    while not over.wait(0.05):
        for stream in streams:
            with suppress(BlockingIOError):
                stream.recv(65536)


@contextmanager
def _follower(served: Served, installation: Installation) -> Iterator[UnleashClient]:
    with tempfile.TemporaryDirectory() as folder:
        client = UnleashClient(
            f"{served.url}/api",
            "bench",
            custom_headers={"Authorization": installation.token("client")},
            disable_metrics=True,
            experimental_mode={"type": "streaming"},
            cache=FileCache("bench", directory=folder),
        )
        with client:
            while "switched" not in client.feature_definitions():
                time.sleep(0.05)
            yield client


if __name__ == "__main__":
    sys.exit(main())
