"""Rules of what rolls over, of a version of a plan; packs that hold what a period left unused, one of each kind."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

from control_plane.migrations.sql_functions import create_function
from control_plane.migrations.table_locks import lock_exclusively
from control_plane.platform.db.database import UtcDateTime

revision = "0073"
down_revision = "0072"

REPLACED = {"credit_opened": "0022", "credit_answer": "0072", "credit_answer_many": "0065"}
"""Functions that ask what rolls over, or leave packs out that have expired, and the version that wrote each before."""
PACK_INDEX = "ix_credit_pack_rolled_from"
JOURNAL_INDEX = "ix_credit_journal_limit_change"
IS_ROLLED_OVER = sa.text("rolled_from IS NOT NULL")
IS_LIMIT_CHANGE = "type = 'limit_change'"


def prepare(connection: Connection) -> None:
    """Make the index of the journal before the transaction, while everybody goes on."""
    # What is left of an attempt that was ended is no index.
    broken = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid"
    if connection.scalar(sa.text(broken), {"name": JOURNAL_INDEX}):
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {JOURNAL_INDEX}")
    _make_journal_index(connection, concurrently="CONCURRENTLY ")


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        lock_exclusively(op.get_bind(), "credit_pack")
    op.add_column("credit_plan_version", sa.Column("rollovers", sa.JSON))
    op.add_column("credit_pack", sa.Column("rolled_from", UtcDateTime))
    op.create_index(
        PACK_INDEX,
        "credit_pack",
        ["user_id", "rolled_from", "kind"],
        unique=True,
        sqlite_where=IS_ROLLED_OVER,
        postgresql_where=IS_ROLLED_OVER,
    )
    _make_journal_index(op.get_bind())
    if is_postgresql:
        for function in REPLACED:
            create_function(function, revision)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        # Both at once: operations take them one after the other, and would be met in a circle.
        lock_exclusively(op.get_bind(), "credit_pack", "credit_journal")
        for function, version in REPLACED.items():
            create_function(function, version)
    op.drop_index(JOURNAL_INDEX, "credit_journal")
    op.drop_index(PACK_INDEX, "credit_pack")
    op.drop_column("credit_pack", "rolled_from")
    op.drop_column("credit_plan_version", "rollovers")


def _make_journal_index(connection: Connection, *, concurrently: str = "") -> None:
    connection.exec_driver_sql(
        f"CREATE INDEX {concurrently}IF NOT EXISTS {JOURNAL_INDEX} ON credit_journal (user_id, v2_period_start)"
        f" WHERE {IS_LIMIT_CHANGE}"
    )
