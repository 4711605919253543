"""Flags without a rollout, the SDK instances connected, and what they report."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime

revision = "0006"
down_revision = "0005"

KEPT = ("flag_definition", "flag_segment")
REPORTED = ("impact_metric", "flag_usage", "connected_client")
"""What SDKs report; they report it again."""


def upgrade() -> None:
    if not restore_archived_tables(*KEPT):
        _create_definitions()
    op.create_table(
        "connected_client",
        sa.Column("connection_id", sa.Text, primary_key=True),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("app_name", sa.Text, nullable=False),
        sa.Column("instance_id", sa.Text, nullable=False),
        sa.Column("sdk", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("edition", sa.BigInteger, nullable=False),
        sa.Column("connected_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_connected_client_seen_at", "connected_client", ["seen_at"])
    op.create_table(
        "flag_usage",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("flag", "environment", "app_name")),
        sa.Column("hour", sa.BigInteger, primary_key=True),
        sa.Column("answer", sa.Text, primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_flag_usage_hour", "flag_usage", ["hour"])
    op.create_table(
        "impact_metric",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("name", "environment", "labels", "part")),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_change_topic", "change", ["topic", "id"])
    op.create_index("ix_directory_user_updated_at", "directory_user", ["updated_at"])
    op.create_index("ix_flag_override_expires_at", "flag_override", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_flag_override_expires_at", "flag_override")
    op.drop_index("ix_directory_user_updated_at", "directory_user")
    op.drop_index("ix_change_topic", "change")
    for table in REPORTED:
        op.drop_table(table)
    archive_tables(*KEPT)


def _create_definitions() -> None:
    op.create_table(
        "flag_definition",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("feature", sa.JSON, nullable=False),
        sa.Column("updated_at", UtcDateTime, nullable=False),
        sa.Column("updated_by", sa.Text, nullable=False),
    )
    op.create_table(
        "flag_segment",
        sa.Column("environment", sa.Text, primary_key=True),
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("segment", sa.JSON, nullable=False),
    )
