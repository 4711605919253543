"""Accounts and tokens as rows, read before a restore and written back after it, so that no restore gives access back.

People who were locked out, passwords that were changed, sessions and tokens that were ended stay so.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.auth.models import ApiTokenRow, PersonRow, PersonSessionRow
from control_plane.platform.db.database import is_postgresql

PEOPLE = cast(Table, PersonRow.__table__)
TOKENS = cast(Table, ApiTokenRow.__table__)
SESSIONS = cast(Table, PersonSessionRow.__table__)
KEYS = {PEOPLE: "username", TOKENS: "selector"}
"""What names a row whatever its number is."""

Rows = Sequence[Mapping[str, Any]]


def rows(session: Session, table: Table) -> Rows:
    """Return everybody who signs in, or every token, as they stand now."""
    return [dict(row) for row in session.execute(select(table).order_by(table.c.id)).mappings()]


def restore_rows(session: Session, table: Table, saved: Rows) -> None:
    """Let these rows stand as they were; rows of the table that are none of them stay.

    A row keeps its number where nobody else has it: sessions name people by number, and must never mean somebody else.
    """
    key = table.c[KEYS[table]]
    known = {name: number for name, number in session.execute(select(key, table.c.id))}  # noqa: C416 - typed rows
    highest = max([*known.values(), *(row["id"] for row in saved)], default=0)
    for row in saved:
        values = {name: value for name, value in row.items() if name != "id"}
        if row[key.name] in known:
            session.execute(update(table).where(key == row[key.name]).values(values))
            continue
        number = row["id"]
        if number in known.values():
            number = highest = highest + 1
        known[row[key.name]] = number
        session.execute(insert(table).values(values | {"id": number}))
    # PostgreSQL's sequence does not notice numbers that were given.
    if is_postgresql(session) and highest:
        sequence = func.pg_get_serial_sequence(table.name, "id")
        session.execute(select(func.setval(sequence, highest)))


def remove_sessions(session: Session) -> None:
    """Sign everybody out: a backup holds sessions that have been ended since."""
    session.execute(delete(SESSIONS))


def end_sessions(session: Session, jump: int) -> None:
    """Sign everybody out: by a number that no session of the past can have, as long as `jump` is drawn at random."""
    session.execute(update(PEOPLE).values(session_version=PEOPLE.c.session_version + jump))
