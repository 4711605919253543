"""Prices of Stripe and what each buys, added while the program runs; once one buys something it goes on doing so."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    op.create_table(
        "billing_price",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("price", sa.Text, nullable=False, unique=True),
        sa.Column("plan", sa.Text),
        sa.Column("kind", sa.Text),
        sa.Column("amount", sa.Integer),
        sa.Column("days", sa.Integer),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("billing_price")
