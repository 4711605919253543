"""Usage by day, kept beside the journal. Going down forgets it: it is added up again from the journal."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

SEGMENTS = ("day", "engine", "plan", "cohort")
COUNTS = ("allowed", "denied", "errors", "analysis_operations", "roast_operations", "analysis", "roast")


def upgrade() -> None:
    op.create_table(
        "credit_usage_day",
        *(sa.Column(name, sa.Text, primary_key=True) for name in SEGMENTS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
    )
    op.create_table(
        "credit_usage_mark",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
    )
    op.execute("INSERT INTO credit_usage_mark (id, journal_id, pending_id, pending_until) VALUES (1, 0, 0, 0)")


def downgrade() -> None:
    op.drop_table("credit_usage_day")
    op.drop_table("credit_usage_mark")
