"""Flags without a rollout and segments get a version, so that of two who edit at once the second is told; and tags."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0036"


def upgrade() -> None:
    for table in ("flag_definition", "flag_segment"):
        op.add_column(table, sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.create_table(
        "flag_tag",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
    )
    op.create_index("ix_flag_tag_value", "flag_tag", ["value", "type"])


def downgrade() -> None:
    op.drop_table("flag_tag")
    for table in ("flag_definition", "flag_segment"):
        op.drop_column(table, "version")
