"""The directory of the product's users, and overrides by name."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.keeping import brought_back, set_aside
from control_plane.platform.database import UtcDateTime

revision = "0002"
down_revision = "0001b"


def upgrade() -> None:
    if brought_back("directory_user", "flag_override"):
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
    set_aside("directory_user", "flag_override")
