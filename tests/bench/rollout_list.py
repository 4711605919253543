"""The data of a list of 500 flags beside a million users and a million audit entries: its time and its queries.

Run `python -m tests.bench.rollout_list`. Each reading is done 30 times, on SQLite and on PostgreSQL; the figures are
the medians of wall time, and of what this process computed in it.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from control_plane.checklists.guide import guide_plan
from control_plane.core.phases import Position, new_rollout, positions
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.settings import Settings
from control_plane.rollouts import answers, listing, store
from dashboards.view_models import rollouts as screens
from tests import postgres
from tests.applications import application
from tests.statements import noted

FLAGS, ROWS, PART = 500, 1_000_000, 20_000
READINGS = 30
WANTED_MS, WANTED_QUERIES = 50.0, 10
NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(CAST(:low AS bigint), CAST(:high AS bigint)) AS n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT :low UNION ALL SELECT n + 1 FROM s WHERE n < :high) SELECT n FROM s",
}
USERS = """
INSERT INTO directory_user (user_id, plan, signed_up_at, beta, updated_at)
SELECT 'user-' || n, 'pro', :now, n % 100000 = 0, :now FROM ({numbers}) AS numbered
"""
ENTRIES = """
INSERT INTO audit_entry (id, at, actor, action, subject, reason, previous_hash, hash)
SELECT 1000 + n, :now, 'olga', 'rollout.hold',
    'rollout:F' || substr('000' || (n % 500), length('000' || (n % 500)) - 2), 'Because.', '', ''
FROM ({numbers}) AS numbered
"""
Reading = Callable[[Session, datetime], object]


def read_api(session: Session, now: datetime) -> object:
    """Read what `GET /api/rollouts` answers with."""
    found, _ = listing.page(store.load_all(session), listing.RolloutQuery(), now)
    return [answers.listed(each, now) for each in found]


def read_page(session: Session, now: datetime) -> object:
    """Read what the front page shows."""
    return screens.read(session, now=now, lease_seconds=30)


READINGS_OF: dict[str, Reading] = {"GET /api/rollouts": read_api, "front page": read_page}


def main() -> int:
    """Print every figure; 0 when all were reached, else 1."""
    met = True
    for name, app in _applications():
        with app.app_context():
            _fill()
            for what, read in READINGS_OF.items():
                milliseconds, computed, queries = _measure(read)
                met = met and milliseconds <= WANTED_MS and queries <= WANTED_QUERIES
                figures = f"{milliseconds:6.1f} ms, {computed:5.1f} ms of CPU, {queries} queries"
                sys.stdout.write(f"{name:12} {what:20} {figures}\n")
                sys.stdout.flush()
    return 0 if met else 1


def _measure(read: Reading) -> tuple[float, float, int]:
    now, taken, computed = datetime.now(UTC), [], []
    for _ in range(READINGS + 1):
        started, begun = time.perf_counter(), time.process_time()
        with read_only() as session:
            read(session, now)
        taken.append((time.perf_counter() - started) * 1000)
        computed.append((time.process_time() - begun) * 1000)
    with noted() as sent, read_only() as session:
        read(session, now)
    return statistics.median(taken[1:]), statistics.median(computed[1:]), len(sent)


def _fill() -> None:
    now, plan = datetime.now(UTC), guide_plan(datetime(2026, 1, 1, tzinfo=UTC))
    steps: tuple[Position, ...] = positions(plan)
    with transaction() as session:
        for number in range(FLAGS):
            made = new_rollout(f"F{number:03}", replace(plan, owner=f"team-{number}"), now=now, reason="Planned.")
            store.add(session, replace(made, position=steps[number % len(steps)]))
        dialect = session.get_bind().dialect.name
    # In parts, for a statement that takes long is given up.
    for low in range(1, ROWS, PART):
        values = {"low": low, "high": low + PART - 1, "now": now if dialect == "postgresql" else now.isoformat(sep=" ")}
        with transaction() as session:
            for statement in (USERS, ENTRIES):
                session.execute(text(statement.format(numbers=NUMBERS[dialect])), values)
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


@contextmanager
def _postgresql(folder: Path) -> Iterator[Settings]:
    with postgres.running() as server, postgres.database(server) as address:
        yield Settings(database_url=address, instance_dir=folder, background=False)


def _applications() -> Iterator[tuple[str, Flask]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        settings = Settings(database_url=f"sqlite:///{path / 'rollout.db'}", instance_dir=path, background=False)
        with application(settings) as app:
            yield "SQLite", app
    with tempfile.TemporaryDirectory() as folder, _postgresql(Path(folder)) as settings, application(settings) as app:
        yield "PostgreSQL", app


if __name__ == "__main__":
    sys.exit(main())
