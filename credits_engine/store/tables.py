"""The tables as Core sees them, for statements that are built once and need nothing of the ORM."""

from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.orm import Session

from control_plane.platform.database import on_each, run
from control_plane.platform.prepared import Prepared
from credits_engine.billing.models import BillingAccount
from credits_engine.models import (
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
    "insert_if_absent",
    "inserted",
    "run",
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


def insert_if_absent(table: Table) -> Prepared:
    """The INSERT that leaves a row of the same key as it is; see `inserted`."""
    return Prepared(on_each(lambda insert: insert(table).on_conflict_do_nothing()))


def inserted(session: Session, statement: Prepared, row: Mapping[str, Any]) -> bool:
    """Run such an INSERT; False when the row was there already."""
    return statement.change(session, row) == 1
