"""Plans with versions, approvals and checks; flags that can be archived. Plans of today become version 1."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0024"
down_revision = "0023"

FIRST = "As it was when versions of plans began to be kept."


def upgrade() -> None:
    op.add_column("rollout", sa.Column("plan_version", sa.Integer, nullable=False, server_default="1"))
    op.add_column("rollout", sa.Column("archived_at", UtcDateTime))
    op.add_column("rollout", sa.Column("stepped_back_at", UtcDateTime))
    op.create_table(
        "rollout_plan_version",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "reason")),
    )
    op.create_table(
        "rollout_approval",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("plan_version", sa.Integer, primary_key=True),
        sa.Column("entered_at", UtcDateTime, primary_key=True),
        sa.Column("actor", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("role", "reason")),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "rollout_http_check",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("status", sa.Integer, primary_key=True),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    copied = sa.text(
        "INSERT INTO rollout_plan_version (flag, number, plan, at, actor, reason) "
        "SELECT flag, 1, plan, state_changed_at, 'system', :reason FROM rollout"
    )
    op.get_bind().execute(copied, {"reason": FIRST})


def downgrade() -> None:
    for table in ("rollout_http_check", "rollout_approval", "rollout_plan_version"):
        op.drop_table(table)
    for column in ("stepped_back_at", "archived_at", "plan_version"):
        op.drop_column("rollout", column)
