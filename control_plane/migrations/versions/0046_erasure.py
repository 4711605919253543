"""Erasures of persons: who became which pseudonym, and triggers that let exactly that through.

Journal and audit trail stay append-only. What a row may become is the same row about a pseudonym that stands in
`erasure`; figures, instants, actors and hashes can't change with it.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0046"
down_revision = "0040"

JOURNAL, TRAIL = "credit_journal", "audit_entry"
REFUSALS = {
    JOURNAL: "credit_journal is append-only; write a correcting row instead",
    TRAIL: "the audit trail is append-only",
}
FUNCTIONS = {JOURNAL: "refuse_journal_change", TRAIL: "refuse_audit_change"}
PSEUDONYM = {JOURNAL: "user_id", TRAIL: "erasure"}
CHANGEABLE = {
    JOURNAL: ("user_id", "operation_key", "reason", "shadow_reason", "context"),
    TRAIL: ("subject", "before", "after", "reason", "erasure"),
}


def upgrade() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", RowId, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("pseudonym", sa.Text, nullable=False, unique=True),
        sa.Column("erased_at", UtcDateTime, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("ix_erasure_digest", "erasure", ["digest"])
    op.add_column(TRAIL, sa.Column("erasure", sa.Text))
    for table in (JOURNAL, TRAIL):
        _drop_triggers(table)
        _allow_erasure_only(table)


def downgrade() -> None:
    for table in (JOURNAL, TRAIL):
        _drop_triggers(table)
        if op.get_bind().dialect.name == "postgresql":
            op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
        _refuse_every_change(table)
    op.drop_column(TRAIL, "erasure")
    op.drop_table("erasure")


def _drop_triggers(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DROP TRIGGER {table}_no_update")
    else:
        op.execute(f"DROP TRIGGER {table}_no_change ON {table}")


def _allow_erasure_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        fixed = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)]
        same = " AND ".join(f'NEW."{name}" IS OLD."{name}"' for name in fixed if name not in CHANGEABLE[table])
        known = f"EXISTS (SELECT 1 FROM erasure WHERE pseudonym = NEW.{PSEUDONYM[table]})"  # noqa: S608 - our own names
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} WHEN NOT ({known} AND {same}) "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSALS[table]}'); END"
        )
        return
    changeable = ", ".join(f"'{name}'" for name in CHANGEABLE[table])
    op.execute(
        f"CREATE OR REPLACE FUNCTION {FUNCTIONS[table]}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "  # noqa: S608
        "IF TG_OP = 'UPDATE' THEN "
        f"IF EXISTS (SELECT 1 FROM erasure WHERE pseudonym = NEW.{PSEUDONYM[table]}) "
        f"AND to_jsonb(NEW) - ARRAY[{changeable}] = to_jsonb(OLD) - ARRAY[{changeable}] THEN RETURN NEW; END IF; "
        f"END IF; RAISE EXCEPTION '{REFUSALS[table]}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {FUNCTIONS[table]}()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTIONS[table]}()"
    )


def _refuse_every_change(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSALS[table]}'); END"
        )
        return
    op.execute(
        f"CREATE OR REPLACE FUNCTION {FUNCTIONS[table]}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSALS[table]}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {FUNCTIONS[table]}()"
    )
