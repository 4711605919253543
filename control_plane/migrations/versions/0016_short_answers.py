"""What a process asks PostgreSQL of an operation is answered by what it can't know, and not by the whole journal row.

The short way of version 0015 is `credit_answer` now. `credit_operate`, which a worker of the version before still calls
and psql too, is again the one function for everything; the journal and the books are the same whichever is asked.
"""

from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0016"
down_revision = "0015"

OPERATION = "(text, text, bigint, bigint, text, timestamptz, text, boolean, integer, boolean, json)"
ANSWER = "(text, text, bigint, bigint, text, timestamptz, text, boolean, integer, boolean)"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f"DROP FUNCTION credit_operate{OPERATION}")
    op.execute(f"ALTER FUNCTION credit_operate_fully{OPERATION} RENAME TO credit_operate")
    create_function("credit_answer", revision)


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(f"DROP FUNCTION credit_answer{ANSWER}")
    op.execute(f"ALTER FUNCTION credit_operate{OPERATION} RENAME TO credit_operate_fully")
    create_function("credit_operate", down_revision)
