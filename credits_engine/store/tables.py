"""The tables as Core sees them, for statements that are built once and need nothing of the ORM."""

from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, per_dialect
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.engines.receipts import Columns
from credits_engine.models import (
    BillingAccount,
    CreditFreeze,
    JournalEntry,
    LegacyBook,
    OperationKey,
    Pack,
    PackEntry,
    Reservation,
    Retirement,
    UsageCounters,
)
from flags.models import DirectoryUser

ResultRow = Any
"""A row of a result: what was selected, as attributes."""

__all__ = [
    "BILLING",
    "COUNTERS",
    "FREEZES",
    "JOURNAL",
    "KEYS",
    "LEGACY",
    "PACKS",
    "PACK_ENTRIES",
    "RESERVATIONS",
    "RETIREMENT",
    "USERS",
    "ResultRow",
    "execute_core",
    "insert_if_absent",
    "inserted",
]

BILLING = cast(Table, BillingAccount.__table__)
USERS = cast(Table, DirectoryUser.__table__)
LEGACY = cast(Table, LegacyBook.__table__)
COUNTERS = cast(Table, UsageCounters.__table__)
JOURNAL = cast(Table, JournalEntry.__table__)
KEYS = cast(Table, OperationKey.__table__)
FREEZES = cast(Table, CreditFreeze.__table__)
RESERVATIONS = cast(Table, Reservation.__table__)
RETIREMENT = cast(Table, Retirement.__table__)
PACKS = cast(Table, Pack.__table__)
PACK_ENTRIES = cast(Table, PackEntry.__table__)


def insert_if_absent(table: Table) -> CompiledStatement:
    """Return the INSERT that leaves a row of the same key as it is; see `inserted`."""
    return CompiledStatement(per_dialect(lambda insert: insert(table).on_conflict_do_nothing()))


def inserted(session: Session, statement: CompiledStatement, row: Columns) -> bool:
    """Run such an INSERT; False when the row was there already."""
    return statement.execute(session, row) == 1
