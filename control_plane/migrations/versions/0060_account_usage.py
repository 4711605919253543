"""Usage by account, day and kind, beside the journal; the leader adds up what is there already, minute by minute."""

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"


def upgrade() -> None:
    op.create_table(
        "credit_account_usage",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("day", "kind", "user_id")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("operations", "denied", "credits")),
    )
    # By account, with all that is added up: whoever wants the highest reads this alone, already in groups.
    columns = ["kind", "user_id", "day", "operations", "denied", "credits"]
    op.create_index("ix_credit_account_usage_account", "credit_account_usage", columns)
    op.create_table(
        "credit_account_usage_mark",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
    )
    op.execute("INSERT INTO credit_account_usage_mark (id, journal_id, pending_id, pending_until) VALUES (1, 0, 0, 0)")


def downgrade() -> None:
    op.drop_table("credit_account_usage")
    op.drop_table("credit_account_usage_mark")
