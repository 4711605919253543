"""How each table of the credits and of billing would lie on several databases (Citus's words), and what forbids it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

USER = "user_id"
DISTRIBUTED: Mapping[str, str] = {
    "billing_account": USER,
    "billing_auto_top_up": USER,
    "billing_top_up_order": USER,
    "credit_account_usage": USER,
    "credit_journal": USER,
    "credit_member_entry": "account_user_id",
    "credit_pack": USER,
    "credit_pack_entry": USER,
    "credit_reservation": USER,
    "credit_rollback_account": USER,
    "credit_tally": USER,
    "directory_user": USER,
    "flag_override": USER,
    "legacy_book": USER,
    "operation_key": USER,
    "usage_counters": USER,
    "usage_webhook": USER,
}
"""What grows with the users, and the column of the account by which its rows are spread."""
REFERENCE = frozenset(
    {
        "billing_price",
        "change",
        "credit_added_kind",
        "credit_freeze",
        "credit_kind",
        "credit_limit",
        "credit_member",
        "credit_plan",
        "credit_plan_version",
        "credit_retirement",
        "credit_rollback_report",
        "credit_route",
        "erasure",
        "lease",
        "rollout",
    }
)
"""What every operation reads, and seldom changes: a copy is everywhere."""
PREFIXES = ("billing_", "credit_", "usage_")


class Kind(StrEnum):
    """Where the rows of a table are."""

    DISTRIBUTED = "distributed"
    REFERENCE = "reference"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class TableKeys:
    """A table as a database has it: its columns, and the columns of each key that forbids a second row."""

    name: str
    columns: frozenset[str]
    keys: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a table's rows would be, by which column, and why it can't be so."""

    table: str
    kind: Kind
    column: str = ""
    reasons: tuple[str, ...] = ()


def placements(tables: Iterable[TableKeys]) -> Iterator[Placement]:
    """Place each table of the credits and of billing; one that is not spread and not copied stays on one database."""
    for table in tables:
        if not table.name.startswith(PREFIXES) and table.name not in REFERENCE | DISTRIBUTED.keys():
            continue
        if column := DISTRIBUTED.get(table.name):
            yield Placement(table.name, Kind.DISTRIBUTED, column, tuple(_reasons(table, column)))
        else:
            yield Placement(table.name, Kind.REFERENCE if table.name in REFERENCE else Kind.LOCAL)


def _reasons(table: TableKeys, column: str) -> Iterator[str]:
    if column not in table.columns:
        yield f"it has no column {column}"
        return
    for key in table.keys:
        if column not in key:
            yield f"the key ({', '.join(key)}) lacks {column}, and no database can keep it unique alone"
