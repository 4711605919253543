"""Rollouts, audit trail, change feed, signal counters, leases."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0001b"
down_revision = "0001"

KEPT = ("rollout", "audit_entry")
"""What must survive going down; counters, leases and the change feed begin anew."""


def upgrade() -> None:
    if not restore_archived_tables(*KEPT):
        _create_rollouts_and_audit()
    op.create_table(
        "change",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sqlite_autoincrement=True,
    )
    _create_signals()
    op.create_table(
        "lease",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    archive_tables(*KEPT)
    for table in ("lease", "signal_account", "signal_minute", "signal_total", "change"):
        op.drop_table(table)


def _create_signals() -> None:
    series = ("signal", "engine", "role")
    counts = ("bad", "total")
    op.create_table(
        "signal_total",
        *(sa.Column(name, sa.Text, primary_key=True) for name in series),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
    )
    op.create_table(
        "signal_minute",
        *(sa.Column(name, sa.Text, primary_key=True) for name in series),
        sa.Column("minute", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
    )
    op.create_index("ix_signal_minute_minute", "signal_minute", ["minute"])
    op.create_table(
        "signal_account",
        sa.Column("signal", sa.Text, primary_key=True),
        sa.Column("engine", sa.Text, primary_key=True),
        sa.Column("window", sa.BigInteger, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
    )
    op.create_index("ix_signal_account_window", "signal_account", ["window"])


def _create_rollouts_and_audit() -> None:
    op.create_table(
        "rollout",
        sa.Column("flag", sa.Text, primary_key=True),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("phase", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("entered_at", UtcDateTime, nullable=False),
        sa.Column("state_changed_at", UtcDateTime, nullable=False),
        sa.Column("state_reason", sa.Text, nullable=False),
        sa.Column("held_by_guard", sa.Boolean, nullable=False),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False, index=True),
        sa.Column("before", sa.JSON),
        sa.Column("after", sa.JSON),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
