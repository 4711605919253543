"""A threshold is told once for each limit: after an upgrade within a period, the new one has thresholds of its own."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0085"
down_revision = "0084"

TABLE = "usage_webhook"
ONCE = ("user_id", "event", "kind", "percent", "since")
ONCE_BY_LIMIT = (*ONCE, "granted")
PENDING = sa.text("state = 'pending'")
REPEATED = """
DELETE FROM usage_webhook WHERE EXISTS (
    SELECT 1 FROM usage_webhook first WHERE first.id < usage_webhook.id
        AND first.user_id = usage_webhook.user_id AND first.event = usage_webhook.event
        AND first.kind = usage_webhook.kind AND first.percent = usage_webhook.percent
        AND first.since = usage_webhook.since
)
"""


def upgrade() -> None:
    _tell_once_by(ONCE_BY_LIMIT, before=ONCE)


def downgrade() -> None:
    op.execute(REPEATED)
    _tell_once_by(ONCE, before=ONCE_BY_LIMIT)


def _tell_once_by(columns: tuple[str, ...], *, before: tuple[str, ...]) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(_name(before), TABLE)
        op.create_unique_constraint(_name(columns), TABLE, columns)
        return
    # SQLite changes no constraint in place, and none of a table without names.
    with op.batch_alter_table(TABLE, recreate="always", copy_from=_table(before)) as batch:
        batch.drop_constraint(_name(before), type_="unique")
        batch.create_unique_constraint(_name(columns), columns)


def _name(columns: tuple[str, ...]) -> str:
    """Return the name that PostgreSQL gives to such a constraint."""
    return f"{TABLE}_{'_'.join(columns)}_key"


def _table(once: tuple[str, ...]) -> sa.Table:
    """Return the table as the versions before have it."""
    return sa.Table(
        TABLE,
        sa.MetaData(),
        sa.Column("id", RowId, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("user_id", "event", "kind")),
        sa.Column("percent", sa.Integer, nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("used", "granted")),
        sa.Column("occurred_at", UtcDateTime, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint(*once, name=_name(once)),
        sa.Index("ix_usage_webhook_pending", "next_try_at", sqlite_where=PENDING),
    )
