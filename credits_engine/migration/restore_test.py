"""The guide's recovery from corrupted data, played through on a copy: nothing that counts may be lost."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, create_engine, literal, make_url, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.gates import LastRun
from control_plane.platform.auth import audit
from control_plane.platform.db import errors
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import corrections
from credits_engine.amount_types import AmountsType, sum_of
from credits_engine.engines.amounts import Amounts
from credits_engine.migration import backup
from credits_engine.migration.backfill import backfill
from credits_engine.migration.backup import CopyError
from credits_engine.migration.restore import restore
from credits_engine.reconciliation.verification import verify
from credits_engine.store import migration
from credits_engine.store.accounts import EVERYBODY
from credits_engine.store.tables import COUNTERS

ACTOR = "drill"
SUBJECT, ACTION = "credits:restore-test", "credits.restore_test"
BATCH = 500


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the drill and whether it went as it must."""

    name: str
    passed: bool
    detail: str


def restore_test(settings: Settings, now: datetime) -> Iterator[Step]:
    """Back up, work on a copy alone, spoil it, restore it, and compare; the database in use is only read."""
    # The copy's database comes first: a right that is missing is known before a large backup is made.
    # Absolute: an application takes a relative URL of SQLite for one in a folder of its own.
    with (
        TemporaryDirectory(dir=settings.instance_dir.absolute()) as folder,
        _scratch(settings, Path(folder)) as copy,
    ):
        backup_path = Path(folder) / "backup"
        backup.backup(settings.direct_url, backup_path)
        yield Step("backup", passed=True, detail=f"{backup_path.stat().st_size:,} bytes while everything went on.")
        backup.restore(copy.database_url, backup_path)
        app = import_module("control_plane.app").create_app(copy)
        with app.app_context():
            yield from _recovered(copy, backup_path, now)
            db.engine.dispose()


def record(session: Session, steps: Sequence[Step], *, now: datetime, actor: str) -> bool:
    """Put into the audit trail how a test went, where checklists and gates find it; return whether it passed."""
    passed = all(step.passed for step in steps)
    after = {"passed": passed, "steps": [asdict(step) for step in steps]}
    audit.record(session, ChangeContext(now, actor, "A restore test."), action=ACTION, subject=SUBJECT, after=after)
    return passed


def last_run(session: Session) -> LastRun | None:
    """Return when a test was run last, and whether it passed; None before the first."""
    found = next(iter(audit.latest(session, subject=SUBJECT, limit=1)), None)
    return LastRun(found.at, bool((found.after or {}).get("passed"))) if found else None


def _recovered(copy: Settings, backup_path: Path, now: datetime) -> Iterator[Step]:
    with read_only() as session:
        before = migration.fingerprint(session)
    yield Step("copy", passed=True, detail=f"{before['journal'][0]:,} journal rows in a copy of its own.")
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(now, ACTOR, "Drill."))
    yield Step("stop", passed=True, detail="Consumption is stopped in the copy.")
    with transaction() as session:
        session.execute(
            update(COUNTERS).values(used=sum_of(COUNTERS.c.used, literal(Amounts.of(lambda _: 1), AmountsType())))
        )
    with read_only() as session:
        spoiled = verify(session, now).books.found
    counted = before["v2"][0]
    yield Step("corrupt", passed=spoiled == counted, detail=f"{counted} rows spoiled, {spoiled} of them found.")
    restore(backup_path, folder=copy.instance_dir, clock=lambda: now, actor=ACTOR, reason="Drill.")
    with read_only() as session:
        after = migration.fingerprint(session)
    sentence = "Every row and every sum is as it was." if after == before else f"{before} became {after}."
    yield Step("restore", passed=after == before, detail=sentence)
    errors = [each for batch in backfill(now=now, batch_size=BATCH) for each in batch if each.error]
    yield Step("backfill", passed=not errors, detail=f"{len(errors)} users with errors.")
    with read_only() as session:
        found = verify(session, now)
    sentence = f"{found.books.checked:,} book rows checked, {found.books.found} differ."
    yield Step("verify", passed=found.intact, detail=sentence)


@contextmanager
def _scratch(settings: Settings, folder: Path) -> Iterator[Settings]:
    """Yield the settings of an empty database that is gone afterwards."""
    url = make_url(settings.direct_url)
    if url.get_backend_name() == "sqlite":
        yield replace(settings, database_url=f"sqlite:///{folder / 'copy.db'}", instance_dir=folder, background=False)
        return
    name = f"rollout_drill_{secrets.token_hex(4)}"
    engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    try:
        _create(engine, name)
        there = url.set(database=name).render_as_string(hide_password=False)
        yield replace(settings, database_url=there, database_direct_url="", instance_dir=folder, background=False)
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        engine.dispose()


def _create(engine: Engine, name: str) -> None:
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except DBAPIError as error:
        if not errors.is_permission_denied(error.orig):
            raise CopyError(f"No database could be made for the copy: {str(error.orig).strip()}") from error
        raise CopyError(
            f"The drill works on a copy in a database of its own, and the role {engine.url.username} may not make one. "
            f"Let it: ALTER ROLE {engine.url.username} CREATEDB; or run the drill with the DATABASE_URL of a role "
            "that may. The database in use was only read."
        ) from error
