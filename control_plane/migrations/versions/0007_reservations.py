"""Reservations: credits held for work that has not finished. Downgrading keeps them under another name."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime

revision = "0007"
down_revision = "0006"

TABLE = "credit_reservation"


def upgrade() -> None:
    if restore_archived_tables(TABLE):
        return
    op.create_table(
        TABLE,
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("journal_id", sa.BigInteger, nullable=False),
        sa.Column("settled_by", sa.BigInteger),
        sa.Column("engine", sa.Text, nullable=False),
        *(_number(name) for name in ("analysis", "roast", "committed_analysis", "committed_roast")),
        sa.Column("v2_period_start", UtcDateTime, nullable=False),
        sa.Column("legacy_period_start", UtcDateTime, nullable=False),
        sa.Column("reserved_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("state IN ('pending', 'committed', 'released', 'expired')", name="ck_reservation_state"),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_credit_reservation_pending",
        TABLE,
        ["expires_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )


def downgrade() -> None:
    archive_tables(TABLE)


def _number(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.BigInteger, nullable=False)
