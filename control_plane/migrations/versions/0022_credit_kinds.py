"""Amounts by kind in one column each, in the order of `credit_kind`; what plans grant as rows, one a plan and kind.

A further kind is rows of `credit_kind` and `credit_limit`: no table is changed for it. What was added up of the journal
follows from it, so both ways forget it and it is added up again. Going down is refused where a third kind is known.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations import amount_columns
from control_plane.migrations.amount_columns import Figure
from control_plane.migrations.sql_functions import create_function
from control_plane.platform.db.database import UtcDateTime

revision = "0022"
down_revision = "0021"

KINDS = ("analysis", "roast")
FIGURES = {
    "legacy_book": [Figure("used", "{}_used")],
    "usage_counters": [Figure("used", "{}_used"), Figure("limits", "{}_limit", is_limit=True)],
    "credit_journal": [
        *(Figure(name, f"{name}_{{}}") for name in ("requested", "charged", "v2_posted", "legacy_posted")),
        *(
            Figure(
                f"{engine}_{what}", f"{engine}_{what}_{{}}", given=f"{engine}_used_{KINDS[0]}", is_limit=what == "limit"
            )
            for engine in ("v2", "legacy")
            for what in ("charged", "used", "limit")
        ),
    ],
    "credit_reservation": [Figure("amounts", "{}"), Figure("committed", "committed_{}")],
    "credit_rollback_report": [Figure("v2", "v2_{}"), Figure("legacy", "legacy_{}")],
    "credit_rollback_account": [Figure(name, f"{name}_{{}}") for name in ("v2", "legacy", "owed")],
}
CHECKS = {"legacy_book": ["used"], "usage_counters": ["used", "limit"]}
SUMS = {"credit_tally": "credit_tally_mark", "credit_usage_day": "credit_usage_mark"}
REPLACED = {
    "credit_amounts": "0015",
    "credit_opened": "0010",
    "credit_followed": "0010",
    "credit_month": "0010",
    "credit_judge_v2": "0010",
    "credit_judge_legacy": "0010",
    "credit_fits": "0010",
    "credit_cause": "0010",
    "credit_operate": "0010",
    "credit_receipt": "0010",
    "consume_credits": "0010",
    "credit_answer": "0016",
}
"""Functions that knew two kinds, and the version that wrote each."""
MADE = ("credit_sum", "credit_negative", "credit_limits", "credit_asked", "credit_by_kind")
GRANTED = "credit_plan_limits"
PLAN_LIMITS = [f"{engine}_{kind}" for engine in ("v2", "legacy") for kind in KINDS]


def upgrade() -> None:
    kinds = op.create_table(
        "credit_kind",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", sa.Integer, nullable=False, unique=True),
    )
    op.bulk_insert(kinds, [{"name": kind, "position": place} for place, kind in enumerate(KINDS, start=1)])
    amount_columns.merge(FIGURES, KINDS, CHECKS)
    _create_sums(by_kind=True)
    if op.get_bind().dialect.name == "postgresql":
        _grant_by_kind()
        _replace_functions()


def downgrade() -> None:
    known = [name for (name,) in op.get_bind().execute(sa.text("SELECT name FROM credit_kind ORDER BY position"))]
    if tuple(known) != KINDS:
        raise RuntimeError(f"Version {down_revision} knows {' and '.join(KINDS)} alone; here are {', '.join(known)}.")
    if op.get_bind().dialect.name == "postgresql":
        _drop_functions()
        _grant_by_column()
    amount_columns.split(FIGURES, KINDS, CHECKS)
    _create_sums(by_kind=False)
    if op.get_bind().dialect.name == "postgresql":
        for function, version in REPLACED.items():
            create_function(function, version)
    op.drop_table("credit_kind")


def _create_sums(*, by_kind: bool) -> None:
    for table, mark in SUMS.items():
        op.drop_table(table)
        op.execute(f"UPDATE {mark} SET journal_id = 0, pending_id = 0, pending_until = 0")  # noqa: S608
    keys = ("engine", "user_id"), ("day", "engine", "plan", "cohort")
    op.create_table(
        "credit_tally",
        *(sa.Column(name, sa.Text, primary_key=True) for name in keys[0]),
        sa.Column("period_start", UtcDateTime, primary_key=True),
        *amount_columns.added(["amounts"] if by_kind else KINDS, by_kind=by_kind),
    )
    counts = ["operations", "credits"] if by_kind else [*(f"{kind}_operations" for kind in KINDS), *KINDS]
    op.create_table(
        "credit_usage_day",
        *(sa.Column(name, sa.Text, primary_key=True) for name in keys[1]),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("allowed", "denied", "errors")),
        *amount_columns.added(counts, by_kind=by_kind),
    )


def _grant_by_kind() -> None:
    op.create_table(
        "credit_limit",
        sa.Column("plan", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, sa.ForeignKey("credit_kind.name"), primary_key=True),
        sa.Column("v2", sa.BigInteger),
        sa.Column("legacy", sa.BigInteger),
    )
    for kind in KINDS:
        op.execute(
            "INSERT INTO credit_limit (plan, kind, v2, legacy) "  # noqa: S608
            f"SELECT name, '{kind}', v2_{kind}, legacy_{kind} FROM credit_plan WHERE called = name"
        )
    for function in REPLACED:
        op.execute(f"DROP FUNCTION {function}")
    for limit in PLAN_LIMITS:
        op.drop_column("credit_plan", limit)
    op.execute(
        "ALTER TABLE credit_plan ADD COLUMN kinds text[] NOT NULL DEFAULT '{}', "
        "ADD COLUMN v2 bigint[] NOT NULL DEFAULT '{}', ADD COLUMN legacy bigint[] NOT NULL DEFAULT '{}'"
    )
    create_function(GRANTED, revision)
    for table in ("credit_kind", "credit_limit"):
        op.execute(
            f"CREATE TRIGGER {table}_granted AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION credit_plan_limits()"
        )
    op.execute("UPDATE credit_limit SET kind = kind")


def _replace_functions() -> None:
    for function in (*MADE, *REPLACED):
        create_function(function, revision)


def _drop_functions() -> None:
    for table in ("credit_kind", "credit_limit"):
        op.execute(f"DROP TRIGGER {table}_granted ON {table}")
    for function in (GRANTED, *MADE, *REPLACED):
        op.execute(f"DROP FUNCTION {function}")


def _grant_by_column() -> None:
    for limit in PLAN_LIMITS:
        op.add_column("credit_plan", sa.Column(limit, sa.BigInteger))
    for place, kind in enumerate(KINDS, start=1):
        op.execute(f"UPDATE credit_plan SET v2_{kind} = v2[{place}], legacy_{kind} = legacy[{place}]")  # noqa: S608
    for column in ("kinds", "v2", "legacy"):
        op.drop_column("credit_plan", column)
    op.drop_table("credit_limit")
