"""PostgreSQL answers operations that waited at the same moment in one transaction, by statements for all of them."""

from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0065"
down_revision = "0060"

FUNCTIONS = {
    "credit_judge_plain": "(credit_plan, bigint[], bigint[], timestamptz, bigint[], timestamptz, boolean, bigint[])",
    "credit_answer_many": "(text[], text[], text[], text[], timestamptz[], integer[], integer[], text, boolean)",
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function in FUNCTIONS:
            create_function(function, revision)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function, parameters in FUNCTIONS.items():
            op.execute(f"DROP FUNCTION {function}{parameters}")
