"""Approvals of a change of the plan, apart from those of the next step."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0081"
down_revision = "0077"


def upgrade() -> None:
    op.create_table(
        "rollout_plan_approval",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("plan_version", sa.Integer, primary_key=True),
        sa.Column("entered_at", UtcDateTime, primary_key=True),
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("rollout_plan_approval")
