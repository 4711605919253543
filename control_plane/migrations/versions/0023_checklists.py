"""The checklists: who signed what, and what the checks last found."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "checklist_signature",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("phase", sa.Text, primary_key=True),
        sa.Column("checklist", sa.Text, primary_key=True),
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
    )
    op.create_table(
        "checklist_result",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("check", sa.Text, primary_key=True),
        sa.Column("passed", sa.Boolean),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("valid_until", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("checklist_result")
    op.drop_table("checklist_signature")
