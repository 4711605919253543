"""The credits as functions of PostgreSQL, `consume_credits` among them, and running sums of the journal.

They do what `credits_engine.operations.consumption` does, in its order and under its locks, and leave the same rows
behind: `tests/credits_engine/operations/test_procedure_agreement.py` holds the two together on random sequences.
SQLite has nothing like them. `credit_plan` is the catalogue as the functions read it; a test compares it with
`credits_engine.engines.plans`.
The tables of packs come with the next version: what PL/pgSQL names is looked up when it runs.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.sql_functions import create_function
from control_plane.platform.db.database import UtcDateTime

revision = "0010"
down_revision = "0009"

PLANS = (
    ("free", "free", 0, 100, 10, 100, 50),
    ("starter_trial", "free", 0, 100, 10, 100, 50),
    ("starter", "starter", 1, 1_000, 10, 1_000, 100),
    ("pro", "pro", 2, 10_000, 1_000, 10_000, 1_000),
    ("plus", "plus", 3, 100_000, 5_000, 100_000, 5_000),
    ("creator_plus", "plus", 3, 100_000, 5_000, 100_000, 5_000),
    ("custom", "custom", 4, None, None, None, None),
)
LIMITS = ("v2_analysis", "v2_roast", "legacy_analysis", "legacy_roast")
FUNCTIONS = (
    "credit_amounts",
    "credit_instant",
    "credit_written",
    "credit_period",
    "credit_bucket",
    "credit_exposure",
    "credit_flag",
    "credit_counter",
    "credit_opened",
    "credit_followed",
    "credit_month",
    "credit_judge_v2",
    "credit_pool_short",
    "credit_judge_legacy",
    "credit_beyond",
    "credit_draw",
    "credit_fits",
    "credit_cause",
    "credit_failed",
    "credit_refuse_unready",
    "credit_operate",
    "credit_receipt",
    "consume_credits",
    "get_or_create_active_period",
)
"""Each in a file of its own beside the versions, in the order in which they are created."""
DIFFERING = "ix_credit_journal_differing"


def upgrade() -> None:
    _create_tallies()
    differing = sa.text("variance <> 'match'")
    op.create_index(DIFFERING, "credit_journal", ["id"], sqlite_where=differing, postgresql_where=differing)
    if op.get_bind().dialect.name != "postgresql":
        return
    plans = op.create_table(
        "credit_plan",
        sa.Column("called", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        *(sa.Column(limit, sa.BigInteger) for limit in LIMITS),
    )
    op.bulk_insert(plans, [dict(zip(("called", "name", "rank", *LIMITS), row, strict=True)) for row in PLANS])
    for function in FUNCTIONS:
        create_function(function, revision)


def downgrade() -> None:
    op.drop_index(DIFFERING, "credit_journal")
    for table in ("credit_tally", "credit_tally_mark"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "postgresql":
        return
    for function in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("credit_plan")


def _create_tallies() -> None:
    """Sums of the journal up to a mark. They follow from it, so going down drops them and going up begins anew."""
    op.create_table(
        "credit_tally",
        sa.Column("engine", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("period_start", UtcDateTime, primary_key=True),
        sa.Column("analysis", sa.BigInteger, nullable=False),
        sa.Column("roast", sa.BigInteger, nullable=False),
    )
    mark = op.create_table(
        "credit_tally_mark",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("journal_id", sa.BigInteger, nullable=False),
        sa.Column("pending_id", sa.BigInteger, nullable=False),
        sa.Column("pending_until", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_credit_tally_mark_once"),
    )
    op.bulk_insert(mark, [{"id": 1, "journal_id": 0, "pending_id": 0, "pending_until": 0}])
