"""The guard's evidence and verdicts."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if restore_archived_tables("alert_state"):
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
    archive_tables("alert_state")
