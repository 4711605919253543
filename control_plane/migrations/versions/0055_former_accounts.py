"""Former accounts of members, under which a retry of an earlier operation finds its answer."""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"


def upgrade() -> None:
    op.add_column("credit_member", sa.Column("former_accounts", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("credit_member", "former_accounts")
