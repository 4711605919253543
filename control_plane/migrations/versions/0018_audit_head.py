"""The end of the audit trail, sealed; entries that nobody changes or deletes; counts per ten seconds.

The trail that is there is taken as it is and sealed with its next entry: a migration has no key.
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

UNCHANGEABLE = "the audit trail is append-only"
GENESIS = f"'{'0' * 64}'"
SERIES = ("signal", "engine", "role")


def upgrade() -> None:
    op.create_table(
        "audit_head",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("entries", "last_id", "sealed_from")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("last_hash", "seal")),
    )
    op.execute(
        "INSERT INTO audit_head (id, entries, last_id, last_hash, sealed_from, seal) "
        "SELECT 1, (SELECT count(*) FROM audit_entry), coalesce(max(id), 0), coalesce(max(hash), :genesis), 0, '' "
        "FROM (SELECT id, hash FROM audit_entry ORDER BY id DESC LIMIT 1) AS newest".replace(":genesis", GENESIS)
    )
    op.create_table(
        "signal_slice",
        *(sa.Column(name, sa.Text, primary_key=True) for name in SERIES),
        sa.Column("slice", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("bad", "total")),
    )
    op.create_index("ix_signal_slice_slice", "signal_slice", ["slice"])
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_entry_no_{change.lower()} BEFORE {change} ON audit_entry "
                f"BEGIN SELECT RAISE(ABORT, '{UNCHANGEABLE}'); END"
            )
        return
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{UNCHANGEABLE}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_entry_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for change in ("update", "delete"):
            op.execute(f"DROP TRIGGER audit_entry_no_{change}")
    else:
        op.execute("DROP TRIGGER audit_entry_no_change ON audit_entry")
        op.execute("DROP FUNCTION refuse_audit_change()")
    op.drop_table("signal_slice")
    op.drop_table("audit_head")
