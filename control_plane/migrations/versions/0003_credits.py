"""Both credit books, the append-only journal, operation keys and freezes.

Downgrading keeps the data: the tables step aside under another name, and upgrading again brings them back.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0003"
down_revision = "0002"

TABLES = ("legacy_book", "usage_counters", "credit_journal", "operation_key", "credit_freeze")
ROOMY = {"fillfactor": 70}
UNCHANGEABLE = "credit_journal is append-only; write a correcting row instead"


def upgrade() -> None:
    if restore_archived_tables(*TABLES):
        return
    _create_books()
    _create_journal()
    _refuse_changes()
    op.create_table(
        "operation_key",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("journal_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_operation_key_created", "operation_key", ["created_at"])
    op.create_table(
        "credit_freeze",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("frozen_at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )


def downgrade() -> None:
    archive_tables(*TABLES)


def _create_books() -> None:
    op.create_table(
        "legacy_book",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("month_start", UtcDateTime, primary_key=True),
        _number("analysis_used"),
        _number("roast_used"),
        sa.CheckConstraint("analysis_used >= 0 AND roast_used >= 0", name="ck_legacy_book_used"),
        postgresql_with=ROOMY,
    )
    op.create_table(
        "usage_counters",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("period_start", UtcDateTime, primary_key=True),
        sa.Column("period_end", UtcDateTime, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        _number("analysis_used"),
        sa.Column("analysis_limit", sa.BigInteger),
        _number("roast_used"),
        sa.Column("roast_limit", sa.BigInteger),
        sa.CheckConstraint("analysis_used >= 0 AND roast_used >= 0", name="ck_usage_counters_used"),
        sa.CheckConstraint("analysis_limit >= 0 AND roast_limit >= 0", name="ck_usage_counters_limit"),
        sa.CheckConstraint("period_end > period_start", name="ck_usage_counters_period"),
        postgresql_with=ROOMY,
    )


def _create_journal() -> None:
    op.create_table(
        "credit_journal",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("operation_key", sa.Text),
        *(_number(name) for name in ("requested_analysis", "requested_roast", "charged_analysis", "charged_roast")),
        sa.Column("served_engine", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("shadow_reason", sa.Text),
        sa.Column("flag_revision", sa.BigInteger),
        sa.Column("evaluation_reason", sa.Text),
        sa.Column("variance", sa.Text),
        sa.Column("cause", sa.Text),
        sa.Column("retry_of", sa.BigInteger),
        sa.Column("corrects", sa.BigInteger),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("context", sa.JSON(none_as_null=True)),
        *_engine_columns("v2"),
        *_engine_columns("legacy"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_credit_journal_user", "credit_journal", ["user_id", "id"])
    op.create_index("ix_credit_journal_occurred", "credit_journal", ["occurred_at"])
    differing = sa.text("variance <> 'match'")
    op.create_index(
        "ix_credit_journal_variance",
        "credit_journal",
        ["variance", "id"],
        sqlite_where=differing,
        postgresql_where=differing,
    )


def _engine_columns(engine: str) -> list[sa.Column[Any]]:
    numbers = [f"{what}_{kind}" for what in ("charged", "used", "limit") for kind in ("analysis", "roast")]
    return [
        sa.Column(f"{engine}_period_start", UtcDateTime),
        sa.Column(f"{engine}_period_end", UtcDateTime),
        _number(f"{engine}_posted_analysis"),
        _number(f"{engine}_posted_roast"),
        sa.Column(f"{engine}_outcome", sa.Text),
        *(sa.Column(f"{engine}_{name}", sa.BigInteger) for name in (*numbers, "us")),
    ]


def _refuse_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER credit_journal_no_{change.lower()} BEFORE {change} ON credit_journal "
                f"BEGIN SELECT RAISE(ABORT, '{UNCHANGEABLE}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_journal_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{UNCHANGEABLE}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER credit_journal_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_change()"
    )


def _number(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)
