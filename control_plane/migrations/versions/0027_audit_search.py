"""Indexes to search the audit trail by, the outcome of its last check, and failures to sign in, a minute a row.

SQLite's `INSERT OR REPLACE` deletes without asking the trigger that refuses to delete, so it gets one of its own.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime

revision = "0027"
down_revision = "0024"

SEARCHED = ("actor", "subject", "action")


def upgrade() -> None:
    op.create_index("ix_audit_entry_at", "audit_entry", ["at", "id"])
    for column in SEARCHED:
        op.create_index(f"ix_audit_entry_{column}_at", "audit_entry", [column, "at", "id"])
    op.create_table(
        "audit_check",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("checked", sa.BigInteger, nullable=False),
        sa.Column("first_broken", sa.BigInteger),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.create_table(
        "sign_in_failure",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("minute", sa.BigInteger, primary_key=True),
        sa.Column("failures", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_sign_in_failure_minute", "sign_in_failure", ["minute"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_entry_no_replace BEFORE INSERT ON audit_entry "
            "WHEN EXISTS (SELECT 1 FROM audit_entry WHERE id = NEW.id) "
            "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_entry_no_replace")
    op.drop_table("sign_in_failure")
    op.drop_table("audit_check")
    for column in SEARCHED:
        op.drop_index(f"ix_audit_entry_{column}_at", "audit_entry")
    op.drop_index("ix_audit_entry_at", "audit_entry")
