"""The directory of the product's users, and overrides by name."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime

revision = "0002"
down_revision = "0001b"


def upgrade() -> None:
    if restore_archived_tables("directory_user", "flag_override"):
        return
    op.create_table(
        "directory_user",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("signed_up_at", UtcDateTime),
        sa.Column("beta", sa.Boolean, nullable=False),
        sa.Column("billing_anchor", UtcDateTime),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    beta = sa.text("beta")
    op.create_index("ix_directory_user_beta", "directory_user", ["user_id"], sqlite_where=beta, postgresql_where=beta)
    op.create_table(
        "flag_override",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("effect", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime),
    )


def downgrade() -> None:
    archive_tables("directory_user", "flag_override")
