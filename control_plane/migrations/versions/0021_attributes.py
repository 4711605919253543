"""While a rollout is open to customers by their attributes, PostgreSQL leaves each operation to the application."""

from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        create_function("credit_exposure", revision)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        create_function("credit_exposure", "0010")
