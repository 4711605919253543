"""A rollback that leaves development and staging the flag; those of before are in force everywhere, as they were."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0040"
down_revision = "0038"

REPLACED = {"credit_flag": "0015", "credit_answer": "0022"}
"""Functions that knew one latch for every environment, and the version that wrote each."""


def upgrade() -> None:
    op.add_column("rollout", sa.Column("latches_all", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute(sa.text("UPDATE rollout SET latches_all = :yes WHERE state = 'rolled_back'").bindparams(yes=True))
    if op.get_bind().dialect.name == "postgresql":
        for function in ("credit_state_in", *REPLACED):
            create_function(function, revision)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function, version in REPLACED.items():
            create_function(function, version)
        op.execute("DROP FUNCTION credit_state_in")
    op.drop_column("rollout", "latches_all")
