"""Versions of credit plans: what each grants from a moment on, and plans that were added while the program runs."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    op.create_table(
        "credit_plan_version",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("above", sa.Text),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.UniqueConstraint("plan", "starts_at"),
    )


def downgrade() -> None:
    op.drop_table("credit_plan_version")
