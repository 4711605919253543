"""PostgreSQL's functions leave an operation of a period that rolled over to Python, which knows what legacy lacks."""

from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0074"
down_revision = "0073"

FUNCTION, BEFORE = "credit_operate", "0072"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        create_function(FUNCTION, revision)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        create_function(FUNCTION, BEFORE)
