"""PostgreSQL's functions name the account wherever they read or write a row of its own."""

from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0072"
down_revision = "0071"

REPLACED = {"credit_draw": "0010", "credit_operate": "0022", "credit_answer": "0058"}
"""Functions that knew a number alone, or a row as a whole, and the version that wrote each."""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function in REPLACED:
            create_function(function, revision)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function, version in REPLACED.items():
            create_function(function, version)
