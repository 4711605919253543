"""What was found after a rollback, per account, and what an owner approved."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations import table_archive
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0012"
down_revision = "0011"

REPORT, ACCOUNT = "credit_rollback_report", "credit_rollback_account"
COUNTS = ("v2_analysis", "v2_roast", "legacy_analysis", "legacy_roast")


def upgrade() -> None:
    if table_archive.restore_archived_tables(REPORT, ACCOUNT):
        return
    _make_reports()
    _make_accounts()


def downgrade() -> None:
    table_archive.archive_tables(ACCOUNT, REPORT)


def _make_reports() -> None:
    op.create_table(
        REPORT,
        sa.Column("id", RowId, primary_key=True),
        sa.Column("flag", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        *(sa.Column(name, UtcDateTime, nullable=False) for name in ("rolled_back_at", "since", "until")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("users", "operations", *COUNTS)),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("books_checked", "books_differing")),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", UtcDateTime),
        sa.Column("decision", sa.Text),
    )
    op.create_index("ix_credit_rollback_report_attempt", REPORT, ["flag", "attempt"], unique=True)


def _make_accounts() -> None:
    counts = ("operations", "failed", "refused", *COUNTS, "owed_analysis", "owed_roast")
    op.create_table(
        ACCOUNT,
        sa.Column("report_id", RowId, sa.ForeignKey(f"{REPORT}.id"), primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("journal_id", sa.BigInteger),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("ix_credit_rollback_account_state", ACCOUNT, ["report_id", "state"])
