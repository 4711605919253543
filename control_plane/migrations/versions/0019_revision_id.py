"""The column of connected clients by the name that Unleash has for it."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("ALTER TABLE connected_client RENAME COLUMN edition TO revision_id")


def downgrade() -> None:
    op.execute("ALTER TABLE connected_client RENAME COLUMN revision_id TO edition")
