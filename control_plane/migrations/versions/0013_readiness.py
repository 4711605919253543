"""What was found out about the next step of a rollout: whom v2 would refuse, and whether the comparison is sound."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations import table_archive
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0013"
down_revision = "0012"

TABLE = "credit_readiness"
COUNTS = ("version", "users", "entering", "refused", "operations", "mismatches", "unlike")


def upgrade() -> None:
    if table_archive.restore_archived_tables(TABLE):
        return
    op.create_table(
        TABLE,
        sa.Column("id", RowId, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("flag", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
    )


def downgrade() -> None:
    table_archive.archive_tables(TABLE)
