"""Keys of PostgreSQL that begin with the account, made beside the old ones and put in their place in an instant.

A number alone is found by an index that forbids nothing. SQLite numbers rows in no key but a number alone.
"""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.engine import Connection

from control_plane.migrations.table_locks import execute_patiently, lock_exclusively

ENTRIES = "credit_pack_entry"
KEYS: Mapping[str, str] = {
    "credit_journal": "user_id, id",
    "credit_pack": "user_id, id",
    ENTRIES: "user_id, journal_id, pack_id",
    "credit_member_entry": "account_user_id, journal_id",
    "usage_webhook": "user_id, id",
    "billing_top_up_order": "user_id, id",
}
"""The primary key of each table."""
FORMER_KEYS: Mapping[str, str] = {
    "credit_journal": "id",
    "credit_pack": "id",
    ENTRIES: "journal_id, pack_id",
    "credit_member_entry": "journal_id",
    "usage_webhook": "id",
    "billing_top_up_order": "id",
}
ORDER = "billing_top_up_order"
ORDER_KEY = f"{ORDER}_user_id_key_key"
FORMER_ORDER_KEY = f"{ORDER}_key_key"
INDEXES: Mapping[str, tuple[str, str]] = {
    "ix_credit_journal_id": ("credit_journal", "id"),
    "ix_credit_pack_id": ("credit_pack", "id"),
}
"""By what a number alone is found, and the order of numbers."""
FORMER_INDEX = "ix_credit_journal_user"
"""Of the columns that are the key now."""
FILLED = "credit_pack_entry_filled"
IS_FILLED = (
    "SELECT EXISTS (SELECT FROM pg_constraint "
    "WHERE conrelid = to_regclass('credit_pack_entry') AND conname = :name AND convalidated)"
)
ROWS_AT_ONCE = 5_000
FILL = """
WITH batch AS MATERIALIZED (
    SELECT journal_id, pack_id FROM credit_pack_entry
        WHERE (journal_id, pack_id) > (:journal_id, :pack_id) ORDER BY journal_id, pack_id LIMIT :most
), filled AS (
    UPDATE credit_pack_entry e SET user_id = coalesce(
            (SELECT p.user_id FROM credit_pack p WHERE p.id = e.pack_id),
            (SELECT j.user_id FROM credit_journal j WHERE j.id = e.journal_id), '')
        FROM batch b WHERE e.journal_id = b.journal_id AND e.pack_id = b.pack_id AND e.user_id IS NULL
)
SELECT journal_id, pack_id FROM batch ORDER BY journal_id DESC, pack_id DESC LIMIT 1
"""


def prepare(connection: Connection) -> None:
    """Fill the column and make the indexes while everybody goes on; each statement commits by itself."""
    fill(connection)
    execute_patiently(connection, f"ALTER TABLE {ENTRIES} DROP CONSTRAINT IF EXISTS {FILLED}")
    execute_patiently(
        connection, f"ALTER TABLE {ENTRIES} ADD CONSTRAINT {FILLED} CHECK (user_id IS NOT NULL) NOT VALID"
    )
    # This one locks out nobody, and spares the key to look at every row under its lock.
    connection.exec_driver_sql(f"ALTER TABLE {ENTRIES} VALIDATE CONSTRAINT {FILLED}")
    _make_indexes(connection, concurrently="CONCURRENTLY ")


def fill(connection: Connection) -> None:
    """Give every entry the account of its pack, some thousands at a time."""
    place: Mapping[str, int] | None = {"journal_id": 0, "pack_id": 0}
    while place is not None:
        row = connection.execute(text(FILL), {**place, "most": ROWS_AT_ONCE}).mappings().one_or_none()
        place = None if row is None else dict(row)


def put_in_place(connection: Connection) -> None:
    """Let the indexes be the keys; makes whatever was not prepared."""
    lock_exclusively(connection, *KEYS)
    if not connection.scalar(text(IS_FILLED), {"name": FILLED}):
        fill(connection)
    _make_indexes(connection)
    for table in KEYS:
        _change_key(connection, table, f"{table}_pkey", f"PRIMARY KEY USING INDEX {_made(table)}")
    connection.exec_driver_sql(
        f"ALTER TABLE {ORDER} DROP CONSTRAINT {FORMER_ORDER_KEY}, "
        f"ADD CONSTRAINT {ORDER_KEY} UNIQUE USING INDEX {_made(ORDER_KEY)}"
    )
    connection.exec_driver_sql(f"ALTER TABLE {ENTRIES} DROP CONSTRAINT IF EXISTS {FILLED}")
    connection.exec_driver_sql(f"DROP INDEX {FORMER_INDEX}")


def take_back(connection: Connection) -> None:
    """Make the keys what they were; this locks the tables as long as it takes."""
    lock_exclusively(connection, *KEYS)
    for table, columns in FORMER_KEYS.items():
        _change_key(connection, table, f"{table}_pkey", f"PRIMARY KEY ({columns})")
    connection.exec_driver_sql(
        f"ALTER TABLE {ORDER} DROP CONSTRAINT {ORDER_KEY}, ADD CONSTRAINT {FORMER_ORDER_KEY} UNIQUE (key)"
    )
    connection.exec_driver_sql(f"ALTER TABLE {ENTRIES} ALTER COLUMN user_id DROP NOT NULL")
    for index in INDEXES:
        connection.exec_driver_sql(f"DROP INDEX {index}")
    connection.exec_driver_sql(f"CREATE INDEX {FORMER_INDEX} ON credit_journal (user_id, id)")


def _change_key(connection: Connection, table: str, name: str, key: str) -> None:
    connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {key}")


def _make_indexes(connection: Connection, *, concurrently: str = "") -> None:
    unique = {_made(table): (table, columns) for table, columns in KEYS.items()}
    unique[_made(ORDER_KEY)] = ORDER, "user_id, key"
    for name, (table, columns) in {**unique, **INDEXES}.items():
        # What is left of an attempt that was ended is no index.
        broken = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
        if connection.scalar(text(broken), {"name": name}):
            connection.exec_driver_sql(f"DROP INDEX {concurrently}{name}")
        kind = "UNIQUE INDEX" if name in unique else "INDEX"
        connection.exec_driver_sql(f"CREATE {kind} {concurrently}IF NOT EXISTS {name} ON {table} ({columns})")


def _made(name: str) -> str:
    return f"{name}_made"
