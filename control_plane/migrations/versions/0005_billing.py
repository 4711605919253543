"""Stripe's events, the facts taken from them, and what follows from them for each user.

Downgrading keeps the data: the tables step aside under another name, and upgrading again brings them back, so no
event is ever applied again because its id was forgotten.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_archive import archive_tables, restore_archived_tables
from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0005"
down_revision = "0004"

TABLES = (
    "billing_event",
    "billing_attempt",
    "billing_fact",
    "billing_customer",
    "billing_account",
    "billing_opening",
)


def upgrade() -> None:
    if restore_archived_tables(*TABLES):
        return
    _create_inbox()
    _create_facts()
    _create_accounts()


def downgrade() -> None:
    archive_tables(*TABLES)


def _create_inbox() -> None:
    op.create_table(
        "billing_event",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("event_id", sa.Text, nullable=False, unique=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("api_version", sa.Text, nullable=False),
        sa.Column("livemode", sa.Boolean, nullable=False),
        sa.Column("customer_id", sa.Text),
        sa.Column("object_id", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.Column("delivered_at", UtcDateTime, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("waiting_for", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", UtcDateTime, nullable=False),
        sa.Column("claimed_by", sa.Text),
        sa.Column("finished_at", UtcDateTime),
    )
    due = sa.text("state IN ('new', 'claimed')")
    stuck = sa.text("state IN ('parked', 'dead')")
    for name, columns, where in (
        ("ix_billing_event_due", ["next_at", "id"], due),
        ("ix_billing_event_stuck", ["waiting_for", "id"], stuck),
        ("ix_billing_event_customer", ["customer_id", "id"], None),
        ("ix_billing_event_received", ["received_at"], None),
    ):
        op.create_index(name, "billing_event", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "billing_attempt",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.create_index("ix_billing_attempt_event", "billing_attempt", ["event_id", "id"])


def _create_facts() -> None:
    op.create_table(
        "billing_fact",
        sa.Column("identity", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("customer_id", sa.Text),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("ix_billing_fact_customer", "billing_fact", ["customer_id"])
    op.create_table(
        "billing_customer",
        sa.Column("customer_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text),
        sa.Column("linked_at", UtcDateTime),
        sa.Column("linked_by", sa.Text),
    )
    op.create_index("ix_billing_customer_user", "billing_customer", ["user_id"])


def _create_accounts() -> None:
    op.create_table(
        "billing_account",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("original_plan", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text),
        sa.Column("service_start", UtcDateTime),
        sa.Column("service_end", UtcDateTime),
        sa.Column("blocked", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("due_at", UtcDateTime),
        sa.Column("updated_at", UtcDateTime, nullable=False),
    )
    op.create_index("ix_billing_account_due", "billing_account", ["due_at"])
    op.create_table(
        "billing_opening",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("period_start", UtcDateTime, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
    )
