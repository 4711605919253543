"""Flags without a rollout get a version, by which two who edit one at once are told, and tags as Unleash has them."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0035"


def upgrade() -> None:
    op.add_column("flag_definition", sa.Column("version", sa.Integer, nullable=False, server_default="1"))
    op.create_table(
        "flag_tag",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
    )
    op.create_index("ix_flag_tag_value", "flag_tag", ["value", "type"])


def downgrade() -> None:
    op.drop_table("flag_tag")
    op.drop_column("flag_definition", "version")
