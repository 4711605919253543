"""Passkeys of people."""

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"


def upgrade() -> None:
    op.add_column("person", sa.Column("passkeys", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("person", "passkeys")
