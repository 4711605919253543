"""The language in which a person reads pages, where they chose one."""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"


def upgrade() -> None:
    op.add_column("person", sa.Column("language", sa.Text))


def downgrade() -> None:
    op.drop_column("person", "language")
