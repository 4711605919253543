"""Kinds of credits as data; days of grace, and limits by the seat, of a version of a plan."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0053"
down_revision = "0048"


def upgrade() -> None:
    op.create_table(
        "credit_added_kind",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("packs", sa.JSON, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
    )
    op.add_column("credit_plan_version", sa.Column("grace_days", sa.Integer))
    op.add_column("credit_plan_version", sa.Column("per_seat", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("credit_plan_version", "per_seat")
    op.drop_column("credit_plan_version", "grace_days")
    op.drop_table("credit_added_kind")
