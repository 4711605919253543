"""Keys begin with the account, so that rows can be spread over several databases by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

from control_plane.migrations import account_keys
from control_plane.platform.db.database import UtcDateTime

revision = "0071"
down_revision = "0070"

ENTRIES, MEMBERS = "credit_pack_entry", "credit_member_entry"
UNCHANGEABLE = "credit_pack_entry is append-only; write a row that moves the pack back instead"
OF_PACK = "(SELECT p.user_id FROM credit_pack p WHERE p.id = e.pack_id)"
OF_ROW = "(SELECT j.user_id FROM credit_journal j WHERE j.id = e.journal_id)"
MEMBER_INDEX = ["account_user_id", "user_id", "period_start"]


def prepare(connection: Connection) -> None:
    """Make the indexes of PostgreSQL, and fill the column, before the transaction."""
    account_keys.prepare(connection)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        account_keys.put_in_place(op.get_bind())
        return
    account = f"coalesce({OF_PACK}, {OF_ROW}, '')"
    _rewrite_entries(["user_id", "journal_id", "pack_id"], f"journal_id, pack_id, amount, {account}")
    _refuse_changes(same="NEW.journal_id IS OLD.journal_id AND NEW.pack_id IS OLD.pack_id AND NEW.amount IS OLD.amount")
    _rewrite_members(["account_user_id", "journal_id"])


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        account_keys.take_back(op.get_bind())
        return
    _rewrite_entries(["journal_id", "pack_id"], "journal_id, pack_id, amount")
    _refuse_changes(same="")
    _rewrite_members(["journal_id"])


def _rewrite_entries(key: Sequence[str], values: str) -> None:
    """Copy the table of SQLite into one with another key; its triggers go with the old one."""
    new = f"new_{ENTRIES}"
    columns = [sa.Column(name, sa.BigInteger, nullable=False) for name in ("journal_id", "pack_id", "amount")]
    account = [sa.Column("user_id", sa.Text, nullable=False)] if "user_id" in key else []
    op.create_table(new, *columns, *account, sa.PrimaryKeyConstraint(*key))
    op.execute(f"INSERT INTO {new} SELECT {values} FROM {ENTRIES} e")  # noqa: S608 - our own names
    op.drop_table(ENTRIES)
    op.rename_table(new, ENTRIES)
    op.create_index("ix_credit_pack_entry_pack", ENTRIES, ["pack_id"])


def _refuse_changes(*, same: str) -> None:
    """Let nothing change but, where the rest is the `same`, the name of an erased person."""
    erased = "EXISTS (SELECT 1 FROM erasure WHERE pseudonym = NEW.user_id)"
    for change, kept in {"update": f"WHEN NOT ({erased} AND {same}) " if same else "", "delete": ""}.items():
        op.execute(
            f"CREATE TRIGGER {ENTRIES}_no_{change} BEFORE {change.upper()} ON {ENTRIES} {kept}"
            f"BEGIN SELECT RAISE(ABORT, '{UNCHANGEABLE}'); END"
        )


def _rewrite_members(key: Sequence[str]) -> None:
    new = f"new_{MEMBERS}"
    op.create_table(
        new,
        sa.Column("journal_id", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("account_user_id", "user_id")),
        sa.Column("period_start", UtcDateTime, nullable=False),
        sa.Column("amounts", sa.String, nullable=False),
        sa.PrimaryKeyConstraint(*key),
    )
    op.execute(f"INSERT INTO {new} SELECT * FROM {MEMBERS}")  # noqa: S608 - our own names
    op.drop_table(MEMBERS)
    op.rename_table(new, MEMBERS)
    op.create_index("ix_credit_member_entry", MEMBERS, MEMBER_INDEX)
