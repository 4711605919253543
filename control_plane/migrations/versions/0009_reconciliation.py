"""When both books were held against the journal, and how many rows differed."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations import table_archive
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0009"
down_revision = "0008"

TABLE = "credit_reconciliation"


def upgrade() -> None:
    if table_archive.restore_archived_tables(TABLE):
        return
    op.create_table(
        TABLE,
        sa.Column("id", RowId, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("checked", sa.BigInteger, nullable=False),
        sa.Column("found", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    table_archive.archive_tables(TABLE)
