"""A rollout of one environment: PostgreSQL's functions read it where there is one, and its plan's audiences there.

The rollout is known by its name, FLAG@ENVIRONMENT, so no table has another key.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.sql_functions import create_function

revision = "0058"
down_revision = "0057"

REPLACED = {"credit_exposure": "0021", "credit_flag": "0040", "credit_answer": "0040"}
"""Functions that knew one rollout for every environment, and the version that wrote each."""
BY_NAME = ("rollout_approval", "rollout_plan_version", "rollout", "checklist_signature", "checklist_result")
"""What would be taken for that of another one of the same name, which begins with the same attempt."""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for function in REPLACED:
            create_function(function, revision)


def downgrade() -> None:
    # A release before this one can't read them, nor anything beside them.
    for name in BY_NAME:
        table = sa.table(name, sa.column("flag"))
        op.execute(sa.delete(table).where(table.c.flag.contains("@")))
    if op.get_bind().dialect.name == "postgresql":
        for function, version in REPLACED.items():
            create_function(function, version)
