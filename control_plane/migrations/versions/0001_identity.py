"""People and API tokens."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0001"
down_revision = None


def upgrade() -> None:
    if restore_archived_tables("person", "api_token"):
        return
    op.create_table(
        "person",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("username", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("session_version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("disabled_at", UtcDateTime),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'owner')", name="ck_person_role"),
    )
    op.create_table(
        "api_token",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("selector", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("trusted_attributes", sa.JSON, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", UtcDateTime),
        sa.Column("revoked_at", UtcDateTime),
        sa.Column("last_seen_at", UtcDateTime),
        sa.CheckConstraint("type IN ('client', 'frontend', 'admin', 'service')", name="ck_api_token_type"),
    )


def downgrade() -> None:
    archive_tables("person", "api_token")
