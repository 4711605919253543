"""What a merge of two accounts brought: when a customer came with it, and from which period a pack's credits are."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_locks import lock_exclusively
from control_plane.platform.db.database import UtcDateTime

revision = "0076"
down_revision = "0075"

COLUMNS = {"credit_pack": "merged_from", "billing_customer": "merged_at"}
MERGED = (
    "UPDATE billing_customer SET merged_at = linked_at WHERE EXISTS (SELECT 1 FROM billing_merge"
    " WHERE into_user_id = billing_customer.user_id AND merged_at = billing_customer.linked_at)"
)


def upgrade() -> None:
    _lock()
    for table, name in COLUMNS.items():
        op.add_column(table, sa.Column(name, UtcDateTime))
    op.execute(MERGED)


def downgrade() -> None:
    _lock()
    for table, name in COLUMNS.items():
        op.drop_column(table, name)


def _lock() -> None:
    if op.get_bind().dialect.name == "postgresql":
        lock_exclusively(op.get_bind(), *COLUMNS)
