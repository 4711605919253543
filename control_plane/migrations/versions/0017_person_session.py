"""The sessions of people, so that signing out ends one also for a cookie that was kept."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "person_session",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("person_id", RowId, sa.ForeignKey("person.id"), nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    # Nothing is kept: whoever was signed in signs in again.
    op.drop_table("person_session")
