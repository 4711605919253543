"""The guard's surroundings: alerts received, overrides, notices, signals sent to us, sources and drills."""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0008"
down_revision = "0007"

TABLES = (
    "guard_drill",
    "source_reading",
    "signal_batch",
    "notice_delivery",
    "notice",
    "alert_override",
    "received_alert",
)


def upgrade() -> None:
    _received()
    _notices()
    op.create_table(
        "signal_batch",
        sa.Column("sender", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("received_at", UtcDateTime, nullable=False, index=True),
    )
    op.create_table(
        "source_reading",
        sa.Column("alert", sa.Text, primary_key=True),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("bad", sa.Float),
        sa.Column("total", sa.Float),
        sa.Column("read_at", UtcDateTime, nullable=False),
        sa.Column("problem", sa.Text),
    )
    op.create_table(
        "guard_drill",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("milliseconds", sa.Integer),
        sa.Column("report", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _received() -> None:
    op.create_table(
        "received_alert",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("starts_at", UtcDateTime, primary_key=True),
        sa.Column("alert", sa.Text, nullable=False),
        sa.Column("flag", sa.Text, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("annotations", sa.JSON, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("first_seen_at", UtcDateTime, nullable=False),
        sa.Column("last_seen_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_received_alert_flag", "received_alert", ["flag", "status"])
    op.create_table(
        "alert_override",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("flag", sa.Text, nullable=False),
        sa.Column("alert", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("ended_at", UtcDateTime),
        sa.Column("ended_by", sa.Text),
    )
    op.create_index("ix_alert_override_flag", "alert_override", ["flag", "expires_at"])


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("flag", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "notice_delivery",
        sa.Column("notice_id", RowId, sa.ForeignKey("notice.id"), primary_key=True),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("error", sa.Text),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "ix_notice_delivery_pending",
        "notice_delivery",
        ["next_try_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
