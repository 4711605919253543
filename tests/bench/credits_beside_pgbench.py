"""The engine path from Python and inside the database, beside what the same PostgreSQL makes of `pgbench`."""

import multiprocessing
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Any

from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from tests import postgres
from tests.bench import processor
from tests.bench.credit_dataset import Dataset
from tests.bench.credit_goals import Goal, installation_on

PROCESSES = 2
PAIRS, SECONDS = 3, 5.0
SCALE = 10
TPS = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)
BY_FUNCTION = """\\set n random(0, {users} - 1)
SELECT credit_answer('user-' || ({first} + :n), 'bench-' || gen_random_uuid(), '{{1,0}}', 'bench', clock_timestamp(),
    'production', NULL, :n % 100 + 1, false);
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Transactions per second, and what each cost its client in microseconds of CPU."""

    per_second: float
    client_micros: float


def beside_pgbench(name: str, pgbench: str, url: str, dataset: Dataset, clients: int) -> Iterator[Goal]:
    """Alternating runs, so that whatever else the machine does hits all of them."""
    _pgbench(pgbench, "-i", "-q", "-s", str(SCALE))
    script = BY_FUNCTION.format(users=len(dataset.active), first=dataset.active.start)
    seen: dict[str, list[float]] = {"tpc": [], "python": [], "function": []}
    spent: dict[str, list[float]] = {"tpc": [], "python": [], "function": []}
    server = processor.server_of(url)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        runs: dict[str, Callable[[], Run]] = {
            "tpc": lambda: _rate_of(pgbench, clients),
            "python": lambda: _through_python(url, dataset, clients // PROCESSES),
            "function": lambda: _rate_of(url, clients, "-f", file.name),
        }
        for pair in range(PAIRS):
            for kind in runs if pair % 2 == 0 else reversed(list(runs)):
                with processor.spent(server) as micros:
                    run = runs[kind]()
                seen[kind].append(run.per_second)
                spent[kind].append(run.client_micros + micros.taken / (run.per_second * SECONDS))
    cost = {kind: statistics.median(each) for kind, each in spent.items()}
    tpc, python, function = (statistics.median(seen[kind]) for kind in ("tpc", "python", "function"))
    name = f"{name}, {clients} clients"
    yield Goal(f"{name}: pgbench, TPC-B-like, prepared", f"{tpc:,.0f}/s")
    yield Goal(f"{name}: the use case in Python, {PROCESSES} processes", f"{python:,.0f}/s")
    yield Goal(f"{name}: … beside TPC-B", f"{python / tpc:.2f}", ">= 1.0", python >= tpc)
    yield Goal(f"{name}: … its CPU, client and server", f"{cost['python']:.0f} µs", "<= 300 µs", cost["python"] <= 300)
    yield Goal(f"{name}: credit_answer by pgbench, the bucket given", f"{function:,.0f}/s")
    each = " / ".join(f"{cost[kind]:.0f}" for kind in ("tpc", "function"))
    yield Goal(f"{name}: CPU in µs, TPC-B / credit_answer", each)


def _pgbench(url: str, *arguments: str) -> str:
    command = [str(postgres.program("pgbench")), *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _rate_of(url: str, clients: int, *arguments: str) -> Run:
    options = ("-c", str(clients), "-j", str(PROCESSES), "-T", str(int(SECONDS)))
    before = processor.of_children()
    shown = _pgbench(url, "-M", "prepared", "-n", *options, *arguments)
    found = TPS.search(shown)
    assert found, shown
    rate = float(found[1])
    return Run(rate, (processor.of_children() - before) / (rate * SECONDS))


def _through_python(url: str, dataset: Dataset, threads: int) -> Run:
    """Operations per second of all processes together."""
    spawn = multiprocessing.get_context("spawn")
    ready, results = spawn.Barrier(PROCESSES), spawn.Queue()
    processes = [
        spawn.Process(target=_consumer, args=(url, dataset.active, threads, ready, results)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    rates: list[tuple[float, float]] = [results.get() for _ in processes]
    for process in processes:
        process.join()
    per_second = sum(rate for rate, _ in rates)
    return Run(per_second, sum(rate * micros for rate, micros in rates) / per_second)


def _consumer(url: str, users: range, thread_count: int, ready: Any, results: Any) -> None:
    """Run the threads of one process, each of which takes one operation after the other."""
    with installation_on(url) as installation:
        done = [0] * thread_count
        serve_one = _server_of(users, Random(os.getpid()))
        with installation.app.app_context():
            for _ in range(50):
                serve_one()
        ready.wait()
        until = time.perf_counter() + SECONDS

        def run(number: int) -> None:
            with installation.app.app_context():
                while time.perf_counter() < until:
                    serve_one()
                    done[number] += 1

        threads = [threading.Thread(target=run, args=(number,)) for number in range(thread_count)]
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
        return run_operation(operation, now=datetime.now(UTC))

    return serve_one
