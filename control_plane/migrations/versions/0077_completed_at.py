"""Since when a rollout is complete, which a hold and its end leave as it is."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0077"
down_revision = "0076"


def upgrade() -> None:
    op.add_column("rollout", sa.Column("completed_at", UtcDateTime))
    op.execute("UPDATE rollout SET completed_at = state_changed_at WHERE state = 'complete'")


def downgrade() -> None:
    op.drop_column("rollout", "completed_at")
