"""What a comparison with Stripe finds is kept until somebody closes it, with how far Stripe's events were read."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.create_table(
        "billing_finding",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("found_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("closed_at", UtcDateTime),
        sa.Column("closed_by", sa.Text),
        sa.UniqueConstraint("kind", "object_id"),
    )
    op.create_table(
        "billing_check",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("tried_at", UtcDateTime),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("read_until", UtcDateTime),
        sa.Column("compared", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
    )


def downgrade() -> None:
    op.drop_table("billing_check")
    op.drop_table("billing_finding")
