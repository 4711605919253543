"""Rows that replace those with their key."""

from sqlalchemy import Executable, Table

from control_plane.platform.db.database import DialectInsert, per_dialect
from control_plane.platform.db.fastpath import CompiledStatement


def upsert(table: Table) -> CompiledStatement:
    """Return the INSERT of a row into `table` that replaces the one with its key, whatever of it has changed."""

    def build(insert: DialectInsert) -> Executable:
        statement = insert(table)
        changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)

    return CompiledStatement(per_dialect(build))
