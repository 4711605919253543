"""Going down without losing data: tables step aside under another name, and going up again brings them back."""

import sqlalchemy as sa
from alembic import op

PREFIX = "kept_"


def archive_tables(*tables: str) -> None:
    """Keep these tables, with their data, out of the way of an older version."""
    for table in tables:
        op.rename_table(table, PREFIX + table)


def restore_archived_tables(*tables: str) -> bool:
    """Put the tables back that were set aside; False when there are none and they have to be made."""
    present = set(sa.inspect(op.get_bind()).get_table_names())
    if not all(PREFIX + table in present for table in tables):
        return False
    for table in tables:
        op.rename_table(PREFIX + table, table)
    return True
