"""Automatic top-ups: who wants which pack below how many credits, and each order that was made for it."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0059"
down_revision = "0058"

IS_OPEN = sa.text("state IN ('ordered', 'voiding', 'charged')")


def upgrade() -> None:
    op.create_table(
        "billing_auto_top_up",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("price", sa.Text, nullable=False),
        sa.Column("below", sa.BigInteger, nullable=False),
        sa.Column("per_period_max", sa.Integer, nullable=False),
        sa.Column("amount_max", sa.BigInteger),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("updated_by", sa.Text, nullable=False),
        sa.Column("stopped_at", UtcDateTime),
        sa.Column("stopped_reason", sa.Text),
    )
    op.create_table(
        "billing_top_up_order",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("period_start", UtcDateTime, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("price", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("amount_max", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ends_as", sa.Text),
        sa.Column("invoice_id", sa.Text),
        sa.Column("amount", sa.BigInteger),
        sa.Column("currency", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("ordered_at", UtcDateTime, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("user_id", "period_start", "number"),
    )
    op.create_index(
        "ix_billing_top_up_order_open",
        "billing_top_up_order",
        ["next_at"],
        sqlite_where=IS_OPEN,
        postgresql_where=IS_OPEN,
    )


def downgrade() -> None:
    op.drop_table("billing_top_up_order")
    op.drop_table("billing_auto_top_up")
