"""A short way for the operations that nearly all are, on PostgreSQL; what a rollout exposes, kept for it.

The function of version 0010 goes on under another name, for everything else. Who is connected with the version before
calls it on by the old one and notices nothing; the journal and the books are the same whichever way a row took. What is
kept of a rollout follows from it, so going down forgets it.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.sql_functions import create_function
from control_plane.platform.db.database import UtcDateTime

revision = "0015"
down_revision = "0014"

OPERATION = "(text, text, bigint, bigint, text, timestamptz, text, boolean, integer, boolean, json)"
REPLACED = ("credit_amounts", "credit_flag")
"""Functions of version 0010 with the same arguments; both find the same."""
MADE = ("credit_newcomers_from", "credit_routed", "credit_enables", "credit_unasked", "credit_route_kept")
FIRST = "0010"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.create_table(
        "credit_route",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("environments", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("allowlist", sa.Boolean, nullable=False),
        sa.Column("newcomers", sa.Integer, nullable=False),
        sa.Column("newcomers_from", UtcDateTime),
        sa.Column("everyone", sa.Integer, nullable=False),
    )
    for function in (*MADE, *REPLACED):
        create_function(function, revision)
    op.execute(
        "CREATE TRIGGER credit_route_kept AFTER INSERT OR UPDATE ON rollout "
        "FOR EACH ROW EXECUTE FUNCTION credit_route_kept()"
    )
    op.execute("UPDATE rollout SET version = version")
    op.execute(f"ALTER FUNCTION credit_operate{OPERATION} RENAME TO credit_operate_fully")
    create_function("credit_operate", revision)


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f"DROP FUNCTION credit_operate{OPERATION}")
    op.execute(f"ALTER FUNCTION credit_operate_fully{OPERATION} RENAME TO credit_operate")
    op.execute("DROP TRIGGER credit_route_kept ON rollout")
    for function in REPLACED:
        create_function(function, FIRST)
    for function in reversed(MADE):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("credit_route")
