"""The tables as Core sees them, and how the statements that every operation needs are run.

Such a statement is built once, with bind parameters, so that SQLAlchemy and the driver find it compiled and prepared.
"""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import CursorResult, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from credits_engine.models import CreditFreeze, JournalEntry, LegacyBook, OperationKey, Reservation, UsageCounters
from flags.models import DirectoryUser

USERS = cast(Table, DirectoryUser.__table__)
LEGACY = cast(Table, LegacyBook.__table__)
COUNTERS = cast(Table, UsageCounters.__table__)
JOURNAL = cast(Table, JournalEntry.__table__)
KEYS = cast(Table, OperationKey.__table__)
FREEZES = cast(Table, CreditFreeze.__table__)
RESERVATIONS = cast(Table, Reservation.__table__)


def run(session: Session, statement: Executable, parameters: Mapping[str, Any]) -> CursorResult[Any]:
    """Execute a statement of this package in the session's transaction, without the ORM's part."""
    return session.connection().execute(statement, parameters)


def insert_if_absent(table: Table) -> Mapping[str, Executable]:
    """For each dialect the INSERT that leaves a row of the same key as it is."""
    statements = (sqlite.insert(table).on_conflict_do_nothing(), postgresql.insert(table).on_conflict_do_nothing())
    counted = [statement.execution_options(preserve_rowcount=True) for statement in statements]
    return dict(zip(("sqlite", "postgresql"), counted, strict=True))


def inserted(session: Session, statements: Mapping[str, Executable], row: Mapping[str, Any]) -> bool:
    """Run the INSERT of this session's dialect; False when the row was there already."""
    connection = session.connection()
    return connection.execute(statements[connection.dialect.name], row).rowcount == 1
