"""Which user became part of which other one: metadata at Stripe goes on naming the first."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    op.create_table(
        "billing_merge",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("into_user_id", sa.Text, nullable=False),
        sa.Column("merged_at", UtcDateTime, nullable=False),
        sa.Column("merged_by", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("billing_merge")
