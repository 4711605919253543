"""Members of organisations: whose account they spend from, and how much each operation took for them."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0054"
down_revision = "0053"

ENTRY = ("account_user_id", "user_id", "period_start")


def upgrade() -> None:
    op.create_table(
        "credit_member",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("account_user_id", sa.Text, nullable=False),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("starts_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime),
        sa.Column("added_by", sa.Text, nullable=False),
    )
    op.create_index("ix_credit_member_account", "credit_member", ["account_user_id"])
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "credit_member_entry",
        sa.Column("journal_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("account_user_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("period_start", UtcDateTime, nullable=False),
        sa.Column("amounts", sa.ARRAY(sa.BigInteger) if is_postgresql else sa.String, nullable=False),
    )
    op.create_index("ix_credit_member_entry", "credit_member_entry", ENTRY)


def downgrade() -> None:
    op.drop_table("credit_member_entry")
    op.drop_table("credit_member")
