"""What the product is told of usage: one row for each threshold that a user passed, and how its delivery stands."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0048"
down_revision = "0047"

PENDING = sa.text("state = 'pending'")
ONCE = ("user_id", "event", "kind", "percent", "since")


def upgrade() -> None:
    op.create_table(
        "usage_webhook",
        sa.Column("id", RowId, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("user_id", "event", "kind")),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("granted", sa.BigInteger, nullable=False),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint(*ONCE),
    )
    op.create_index(
        "ix_usage_webhook_pending", "usage_webhook", ["next_try_at"], sqlite_where=PENDING, postgresql_where=PENDING
    )
    op.create_table(
        "usage_webhook_mark",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("journal_id", "pending_id", "pending_until")),
    )


def downgrade() -> None:
    op.drop_table("usage_webhook_mark")
    op.drop_table("usage_webhook")
