"""How many operations the credits take, beside what the same PostgreSQL makes of `pgbench`.

`python -m tests.bench.credits` prints every figure; `--users 1000000 --rows 10000000` measures on a journal of that
size instead of a small one. The engine path is measured from Python, through the use case that views and middleware
call: flag, both decisions, both books, journal row, commit. HTTP is measured on the real server with one worker.
"""

import argparse
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import jwt
import psycopg
from psycopg import sql

from control_plane.platform.settings import Settings
from credits_engine.engines.decisions import Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.serving import serve
from credits_engine.reconciliation import tallying, watching
from tests import postgres
from tests.applications import application
from tests.bench import processor
from tests.bench.credit_stock import Stock, fill
from tests.bench.load import Load, Request, load
from tests.office import Office
from tests.serving import Served, serving

PROCESSES, THREADS = 2, 4
CLIENTS = PROCESSES * THREADS
PAIRS, SECONDS = 3, 5.0
SCALE = 10
HTTP_SECONDS = 5.0
SECRET = "a secret of the measured product's"
TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
JSON = {"Content-Type": "application/json"}
BY_FUNCTION = """\\set n random(0, {users} - 1)
SELECT replayed
    FROM credit_operate('user-' || ({first} + :n), 'bench-' || gen_random_uuid(), 1, 0, 'bench', clock_timestamp());
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach and what was seen; without `wanted` it is only told."""

    name: str
    seen: str
    wanted: str = ""
    met: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """Transactions per second, and what each cost its client in microseconds of CPU."""

    per_second: float
    client_micros: float


def main(arguments: list[str] | None = None) -> int:
    """Print every figure; 0 when all were reached, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args(arguments)
    missed = 0
    for goal in measured(Stock(chosen.users, chosen.rows)):
        sign = "ok  " if goal.met else "MISS"
        sys.stdout.write(f"{sign} {goal.name:66} {goal.wanted:>12} {goal.seen:>14}\n")
        sys.stdout.flush()
        missed += not goal.met
    return 1 if missed else 0


def measured(stock: Stock) -> Iterator[Goal]:
    """Everything, PostgreSQL first."""
    with postgres.running() as server, postgres.database(server) as pgbench, postgres.database(server) as url:
        with _office(url) as office:
            fill(office, stock)
        _vacuum(url)
        yield from _beside_pgbench(pgbench, url, stock)
        yield from _reconciliation(url)
        yield from _over_http("PostgreSQL", url, stock)
        yield from _hot_account(url)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/rollout.db"
        with _office(url) as office:
            fill(office, Stock(min(stock.users, 10_000)))
        yield from _over_http("SQLite", url, Stock(min(stock.users, 10_000)))


def _beside_pgbench(pgbench: str, url: str, stock: Stock) -> Iterator[Goal]:
    """Alternating runs, so that whatever else the machine does hits all of them."""
    _pgbench(pgbench, "-i", "-q", "-s", str(SCALE))
    script = BY_FUNCTION.format(users=len(stock.active), first=stock.active.start)
    seen: dict[str, list[float]] = {"tpc": [], "python": [], "function": []}
    spent: dict[str, list[float]] = {"tpc": [], "python": [], "function": []}
    server = processor.server_of(url)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        runs: dict[str, Callable[[], Run]] = {
            "tpc": lambda: _rate_of(pgbench),
            "python": lambda: _through_python(url, stock),
            "function": lambda: _rate_of(url, "-f", file.name),
        }
        for pair in range(PAIRS):
            for name in runs if pair % 2 == 0 else reversed(list(runs)):
                with processor.spent(server) as micros:
                    run = runs[name]()
                seen[name].append(run.per_second)
                spent[name].append(run.client_micros + micros.taken / (run.per_second * SECONDS))
    cost = {name: statistics.median(each) for name, each in spent.items()}
    tpc, python, function = (statistics.median(seen[name]) for name in ("tpc", "python", "function"))
    yield Goal(f"pgbench, TPC-B-like, prepared, {CLIENTS} clients", f"{tpc:,.0f}/s")
    name = f"the use case in Python, {CLIENTS} connections in {PROCESSES} processes"
    yield Goal(name, f"{python:,.0f}/s")
    yield Goal("… beside TPC-B", f"{python / tpc:.2f}", ">= 0.6", python >= 0.6 * tpc)
    yield Goal(f"credit_operate by pgbench, {CLIENTS} clients", f"{function:,.0f}/s")
    yield Goal("… beside TPC-B", f"{function / tpc:.2f}")
    each = " / ".join(f"{cost[name]:.0f}" for name in ("tpc", "python", "function"))
    yield Goal("µs of CPU each, client and server: TPC-B / Python / function", each)
    yield Goal("TPC-B's by Python's: the ratio where nothing but CPU is short", f"{cost['tpc'] / cost['python']:.2f}")


def _pgbench(url: str, *arguments: str) -> str:
    command = [str(postgres.program("pgbench")), *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _rate_of(url: str, *arguments: str) -> Run:
    clients = ("-c", str(CLIENTS), "-j", str(PROCESSES), "-T", str(int(SECONDS)))
    before = processor.of_children()
    shown = _pgbench(url, "-M", "prepared", "-n", *clients, *arguments)
    found = TPS.search(shown)
    assert found, shown
    rate = float(found[1])
    return Run(rate, (processor.of_children() - before) / (rate * SECONDS))


def _through_python(url: str, stock: Stock) -> Run:
    """Operations per second of all processes together."""
    spawn = multiprocessing.get_context("spawn")
    ready, results = spawn.Barrier(PROCESSES), spawn.Queue()
    processes = [
        spawn.Process(target=_till, args=(url, stock.active, seed, ready, results)) for seed in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    rates: list[tuple[float, float]] = [results.get() for _ in processes]
    for process in processes:
        process.join()
    per_second = sum(rate for rate, _ in rates)
    return Run(per_second, sum(rate * micros for rate, micros in rates) / per_second)


def _till(url: str, users: range, seed: int, ready: Any, results: Any) -> None:
    """One process with its threads, each taking one operation after the other."""
    with _office(url) as office:
        done = [0] * THREADS
        serve_one = _server_of(users, Random(seed))
        with office.app.app_context():
            for _ in range(50):
                serve_one()
        ready.wait()
        until = time.perf_counter() + SECONDS

        def run(number: int) -> None:
            with office.app.app_context():
                while time.perf_counter() < until:
                    serve_one()
                    done[number] += 1

        threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
        begun, used = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        micros = (time.process_time() - used) / sum(done) * 1e6
        results.put((sum(done) / (time.perf_counter() - begun), micros))


def _server_of(users: range, random: Random) -> Callable[[], object]:
    numbers, unique = count(), f"{os.getpid()}-{time.time_ns()}"

    def serve_one() -> object:
        user = f"user-{random.choice(users)}"
        operation = Operation(user, f"{unique}-{next(numbers)}", Amounts(1, 0), actor="bench")
        return serve(operation, now=datetime.now(UTC))

    return serve_one


def _over_http(name: str, url: str, stock: Stock) -> Iterator[Goal]:
    """What one worker answers."""
    with _served(url) as (served, token):
        consuming = load(served.url, _consumptions(token, stock.active, 20_000), seconds=HTTP_SECONDS)
        yield _rate(f"{name}, HTTP, one worker: consumptions", 600, consuming)
        paced = load(served.url, _consumptions(token, stock.active, 3_000), seconds=HTTP_SECONDS, per_second=300)
        yield _p99(f"{name}, HTTP: consumptions, p99 at 300/s", 50, paced)
        asked = [_status(f"user-{number}") for number in stock.active[:1000]]
        status = load(served.url, asked, seconds=HTTP_SECONDS, per_second=500)
        yield _p99(f"{name}, HTTP: status, p99 at 500/s", 20, status)
        if stock.rows:
            asked = [_status(f"user-{number}", "history") for number in stock.active[:1000]]
            history = load(served.url, asked, seconds=HTTP_SECONDS, per_second=100)
            yield Goal(f"{name}, HTTP: history, p99 at 100/s", f"{history.percentile(0.99):.1f} ms")


def _hot_account(url: str) -> Iterator[Goal]:
    """Fifty clients, one user: every row of the journal is in both books, whatever they did to each other."""
    with _served(url) as (served, token), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE directory_user SET plan = 'custom' WHERE user_id = 'user-0'")
        before = _charged(connection)
        hot = load(served.url, _consumptions(token, range(1), 20_000), connections=50, seconds=HTTP_SECONDS)
        moved = [after - then for after, then in zip(_charged(connection), before, strict=True)]
    lost = max(moved) - min(moved) + max(len(hot.seconds) - moved[0], 0) * (hot.statuses == {200})
    yield _rate("PostgreSQL, HTTP: 50 clients on one account", 200, hot)
    yield Goal("… updates lost", f"{lost}", "0", lost == 0)


def _charged(connection: psycopg.Connection[tuple[Any, ...]]) -> list[int]:
    """What journal and books say of the hot account."""
    books = ("usage_counters", "legacy_book")
    places = ("v2_posted_analysis", "credit_journal"), *(("analysis_used", book) for book in books)
    query = "SELECT coalesce(sum({}), 0) FROM {} WHERE user_id = 'user-0'"
    rows = [connection.execute(sql.SQL(query).format(*map(sql.Identifier, place))).fetchone() for place in places]
    return [int(row[0]) for row in rows if row]


def _reconciliation(url: str) -> Iterator[Goal]:
    with _office(url) as office, office.app.app_context():
        tallying.fold()
        found = 0
        for cause, words in (("demand", "from the whole journal"), ("schedule", "with kept sums")):
            begun = time.perf_counter()
            found += watching.check_books(datetime.now(UTC), cause).found
            yield Goal(f"reconcile, all books, {words}", f"{time.perf_counter() - begun:.1f} s")
    yield Goal("… differences", f"{found}", "0", found == 0)


def _consumptions(token: str, users: range, number: int) -> list[Request]:
    """That many operations, each under a key of its own."""
    headers, unique = {"Authorization": f"Bearer {token}", **JSON}, time.time_ns()
    body = '{"userId": "user-%d", "creditType": "analysis", "amount": 1, "idempotencyKey": "%s-%d"}'
    random = Random(number)
    return [
        Request("POST", "/api/credits/consume", headers, (body % (random.choice(users), unique, each)).encode())
        for each in range(number)
    ]


def _status(user: str, what: str = "status") -> Request:
    token = jwt.encode({"sub": user, "exp": 2**40}, SECRET, "HS256")
    return Request("GET", f"/api/user/credits/{what}", {"Authorization": f"Bearer {token}"})


def _rate(name: str, wanted: float, seen: Load) -> Goal:
    met = seen.per_second >= wanted and seen.statuses == {200}
    refused = "" if seen.statuses == {200} else f" {sorted(seen.statuses)}"
    return Goal(name, f"{seen.per_second:,.0f}/s{refused}", f">= {wanted:,.0f}/s", met)


def _p99(name: str, wanted_ms: float, seen: Load) -> Goal:
    p99 = seen.percentile(0.99)
    return Goal(name, f"{p99:.1f} ms", f"< {wanted_ms:g} ms", p99 < wanted_ms and seen.statuses == {200})


@contextmanager
def _office(url: str) -> Iterator[Office]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=url, instance_dir=Path(folder), secret_key="-", log_format="json")
        with application(settings) as app:
            yield Office(app)


@contextmanager
def _served(url: str) -> Iterator[tuple[Served, str]]:
    """The server with one worker, and the token of a service."""
    with _office(url) as office:
        token = office.token("service")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"DATABASE_URL": url, "USER_JWT_SECRET": SECRET, "LOG_FORMAT": "json", "SECRET_KEY": "-"}
        with serving(Path(folder), **environment) as served:
            yield served, token


def _vacuum(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    sys.exit(main())
