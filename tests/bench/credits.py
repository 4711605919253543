"""How many operations the credits take, beside what the same PostgreSQL makes of `pgbench`.

`python -m tests.bench.credits` prints every figure; `--users 1000000 --rows 10000000` measures on a journal of that
size instead of a small one. The engine path is measured from Python, through the use case that views and middleware
call: flag, both decisions, both books, journal row, commit. HTTP is measured on the real server with one worker.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg

from credits_engine.reconciliation import scheduled, totals
from tests import postgres
from tests.bench.credit_dataset import Dataset, fill
from tests.bench.credit_goals import Goal, installation_on
from tests.bench.credits_beside_pgbench import beside_pgbench
from tests.bench.credits_over_http import hot_account, over_http
from tests.bench.results import of_goals, record

FEW, MANY = 8, 32
"""Clients at the same moment, over two processes."""


def main(arguments: list[str] | None = None) -> int:
    """Print every figure; 0 when all were reached, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=100_000)
    chosen = parser.parse_args(arguments)
    goals = list[Goal]()
    for goal in measured(Dataset(chosen.users, chosen.rows)):
        goals.append(goal)
        sign = "ok  " if goal.met else "MISS"
        sys.stdout.write(f"{sign} {goal.name:66} {goal.wanted:>12} {goal.seen:>14}\n")
        sys.stdout.flush()
    record(f"credits-{chosen.rows}", of_goals(goals))
    return 0 if all(goal.met for goal in goals) else 1


def measured(dataset: Dataset) -> Iterator[Goal]:
    """Measure everything, PostgreSQL first."""
    with _filled(dataset, durable=True) as (pgbench, url):
        yield from beside_pgbench("PostgreSQL on disk", pgbench, url, dataset, MANY)
    with _filled(dataset) as (pgbench, url):
        for clients in (FEW, MANY):
            yield from beside_pgbench("PostgreSQL in memory", pgbench, url, dataset, clients)
        yield from _reconciliation(url)
        yield from over_http("PostgreSQL", url, dataset, 1200)
        yield from hot_account(url)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/rollout.db"
        with installation_on(url) as installation:
            fill(installation, Dataset(min(dataset.users, 10_000)))
        yield from over_http("SQLite", url, Dataset(min(dataset.users, 10_000)), 1000)


@contextmanager
def _filled(dataset: Dataset, *, durable: bool = False) -> Iterator[tuple[str, str]]:
    """Yield a server with a database for pgbench, and one with the dataset."""
    with (
        postgres.running(durable=durable) as server,
        postgres.database(server) as pgbench,
        postgres.database(server) as url,
    ):
        with installation_on(url) as installation:
            fill(installation, dataset)
        _vacuum(url)
        yield pgbench, url


def _reconciliation(url: str) -> Iterator[Goal]:
    with installation_on(url) as installation, installation.app.app_context():
        totals.advance()
        found = 0
        for cause, words in (("demand", "from the whole journal"), ("schedule", "with kept sums")):
            begun = time.perf_counter()
            found += scheduled.check_books(datetime.now(UTC), cause).found
            yield Goal(f"reconcile, all books, {words}", f"{time.perf_counter() - begun:.1f} s")
    yield Goal("… differences", f"{found}", "0", found == 0)


def _vacuum(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    sys.exit(main())
