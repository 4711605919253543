"""Packs of credits bought besides the plan, what moved them, and whether legacy is retired. Downgrading keeps all."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0011"
down_revision = "0010"

TABLES = ("credit_pack", "credit_pack_entry", "credit_retirement")
UNCHANGEABLE = "credit_pack_entry is append-only; write a row that moves the pack back instead"


def upgrade() -> None:
    if restore_archived_tables(*TABLES):
        return
    op.create_table(
        "credit_pack",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("remaining", sa.BigInteger, nullable=False),
        sa.Column("bought_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("amount > 0 AND remaining >= 0 AND remaining <= amount", name="ck_credit_pack_remaining"),
        sa.CheckConstraint("kind IN ('analysis', 'roast')", name="ck_credit_pack_kind"),
    )
    unspent = sa.text("remaining > 0")
    for name, columns in {"user": ["user_id", "expires_at"], "expires": ["expires_at"]}.items():
        op.create_index(
            f"ix_credit_pack_{name}", "credit_pack", columns, sqlite_where=unspent, postgresql_where=unspent
        )
    op.create_table(
        "credit_pack_entry",
        sa.Column("journal_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("pack_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_credit_pack_entry_pack", "credit_pack_entry", ["pack_id"])
    _refuse_changes()
    op.create_table(
        "credit_retirement",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("retired_at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("archived_at", UtcDateTime),
        sa.Column("archive", sa.Text),
        sa.CheckConstraint("id = 1", name="ck_credit_retirement_once"),
    )


def downgrade() -> None:
    archive_tables(*TABLES)


def _refuse_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER credit_pack_entry_no_{change.lower()} BEFORE {change} ON credit_pack_entry "
                f"BEGIN SELECT RAISE(ABORT, '{UNCHANGEABLE}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION refuse_pack_entry_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{UNCHANGEABLE}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER credit_pack_entry_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON credit_pack_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_pack_entry_change()"
    )
