"""The guard's evidence and verdicts."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.keeping import brought_back, set_aside
from control_plane.platform.database import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if brought_back("alert_state"):
        return
    op.create_table(
        "alert_state",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("alert", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("seen", sa.JSON, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("pairs", sa.JSON),
        sa.Column("verdict", sa.JSON),
        sa.Column("changed_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    set_aside("alert_state")
