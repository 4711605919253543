"""How many failures of an account count in an hour; accounts known so far counted once, under their names."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    # The names of the running hour are not hashes: such an account may count once more.
    op.add_column("signal_account", sa.Column("bad", sa.BigInteger, nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("signal_account", "bad", server_default=None)


def downgrade() -> None:
    op.execute("ALTER TABLE signal_account DROP COLUMN bad")
