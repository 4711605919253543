"""Everything that the database holds of one person, found by their id and made that of a pseudonym.

Tables are taken from the schema, so one that is added later is treated like those of today: a column that names a
user is renamed, any other text is searched for mentions. What decides for others (flags, plans) is never rewritten,
only named.
"""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, String, Table, Text, bindparam, cast, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import db, rowcount_of
from control_plane.platform.redaction import Redaction
from credits_engine.billing import facts
from credits_engine.billing.models import ACCOUNTS, AUTO_TOP_UPS, CUSTOMERS, EVENTS, TOP_UP_OPEN, TOP_UP_ORDERS
from credits_engine.engines.memberships import member_key
from credits_engine.engines.receipts import EntryType
from credits_engine.store import citus, members, reservations
from credits_engine.store.members import MEMBERS
from credits_engine.store.tables import COUNTERS, JOURNAL, KEYS, LEGACY, RESERVATIONS, USERS

NAMING = ("user_id", "into_user_id", "account_user_id")
LOCKED_FIRST = (CUSTOMERS, ACCOUNTS, USERS, COUNTERS, LEGACY)
"""The order in which every transaction of billing and of credits locks rows."""
DECIDING = ("flag_definition", "flag_segment", "rollout", "rollout_plan_version")
"""Tables that say who has a flag; a mention there is for its owner to remove."""
OTHERS = ("audit_entry", "erasure", "person", "person_session", "api_token", "alembic_version")
"""Tables that are treated elsewhere, or are of people who sign in here."""
OVERRIDES = "flag_override"
CODES = {
    *("plan", "original_plan", "kind", "state", "type", "status", "severity", "action", "alert", "topic", "role"),
    *("flag", "environment", "engine", "served_engine", "outcome", "v2_outcome", "legacy_outcome", "variance"),
    *("signal", "dimension"),
}
"""Columns that hold a word of the program or of the installation. A user may be called by one of these words."""
FIELDS = {each.name for kind in vars(facts).values() if is_dataclass(kind) for each in fields(kind)}
"""The keys of what is stored of Stripe's events."""
BY_HAND = {
    *(EntryType.ADJUST, EntryType.RESET, EntryType.FREEZE, EntryType.UNFREEZE),
    *(EntryType.TOP_UP, EntryType.PACK_REVOKE),
}
"""Journal rows whose reason somebody wrote, and may have written anything."""
BY_CALLER = {EntryType.CONSUME, EntryType.RESERVE, EntryType.COMMIT, EntryType.RELEASE, EntryType.EXPIRE}
"""Journal rows whose key a caller chose; the other keys are our own."""
GONE = "(erased)"


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why somebody can't be erased now."""

    code: str
    sentence: str


def is_known(session: Session, user_id: str) -> bool:
    """Return whether any row is about this user."""
    return any(session.scalar(select(exists().where(column == user_id))) for column in _naming())


def every_user(session: Session) -> list[str]:
    """Return every user whom any row is about."""
    return sorted({name for column in _naming() for name in session.scalars(select(column).distinct()) if name})


def hindrances(
    session: Session, user_id: str, customers: Sequence[str], names: Sequence[str], now: datetime
) -> Iterator[Hindrance]:
    """Yield whatever is still going on with a user and would go on under their name, or forbids it altogether."""
    if citus.is_database_distributed(session):
        sentence = "The database is spread over several by the account's name, and a row can't change its name there."
        yield Hindrance("DATABASE_SPREAD", f"{sentence} Erase in a copy on one database, and restore from it.")
    for name in names:
        if place := _word_place(session, name):
            sentence = f"{name} is a word of the program too ({place}), and what it decides for others would change."
            yield Hindrance("NAME_IS_A_WORD", f"{sentence} Merge them into a user of another name first.")
    running = exists().where(ACCOUNTS.c.user_id == user_id, ACCOUNTS.c.service_end.is_not(None))
    if session.scalar(select(running)):
        yield Hindrance("SUBSCRIPTION_RUNNING", "A subscription still runs; cancel it at Stripe first, at once.")
    yield from _memberships(session, user_id, now)
    if reservations.has_pending(session, user_id) or _has_reserved_as_member(session, user_id):
        yield Hindrance("RESERVATION_OPEN", "Credits are reserved; they are settled within 15 minutes.")
    if session.scalar(select(exists().where(TOP_UP_ORDERS.c.user_id == user_id, TOP_UP_OPEN))):
        yield Hindrance("TOP_UP_OPEN", "A pack is being bought for them at Stripe; that ends within minutes.")
    waiting = exists().where(EVENTS.c.customer_id.in_(customers), EVENTS.c.state.in_(("new", "claimed")))
    if session.scalar(select(waiting)):
        yield Hindrance("EVENTS_WAITING", "Events of Stripe about them are being applied; try again in a minute.")


def _memberships(session: Session, user_id: str, now: datetime) -> Iterator[Hindrance]:
    """Yield what would let somebody go on spending under a name that is gone."""
    member = members.find(session, user_id)
    if member and not member.has_ended(now):
        sentence = f"They spend from {member.account_id}; remove them there first, and try again in ten seconds."
        yield Hindrance("IS_MEMBER", sentence)
    if members.of_account(session, user_id, now):
        yield Hindrance("HAS_MEMBERS", "Members spend from it; remove them first, and try again in ten seconds.")


def _has_reserved_as_member(session: Session, user_id: str) -> bool:
    member, prefix = members.find(session, user_id), member_key(user_id, "")
    accounts = [each.account_id for each in member.earlier()] if member else []
    return any(reservations.has_pending(session, each, key_prefix=prefix) for each in accounts)


def _word_place(session: Session, name: str) -> str | None:
    """Return where a name stands for something else than a person; None where it does nowhere."""
    columns = [column for table in db.metadata.sorted_tables for column in table.c]
    if name in FIELDS or any(name == column.name for column in columns):
        return "a field"
    coded = (column for column in columns if column.name in CODES and isinstance(column.type, String))
    return next((str(each) for each in coded if session.scalar(select(exists().where(each == name)))), None)


def lock(session: Session, user_id: str) -> list[str]:
    """Lock whatever operations and events lock of a user; returns their customers at Stripe."""
    customers = select(CUSTOMERS.c.customer_id).where(CUSTOMERS.c.user_id == user_id).order_by(CUSTOMERS.c.customer_id)
    found = list(session.scalars(customers.with_for_update()))
    for table in LOCKED_FIRST[1:]:
        query = select(table.c.user_id).where(table.c.user_id == user_id)
        session.execute(query.order_by(*table.primary_key).with_for_update()).all()
    # Last, for whoever orders a pack has locked nothing before: none is ordered between the look for one and the end.
    session.execute(select(AUTO_TOP_UPS.c.user_id).where(AUTO_TOP_UPS.c.user_id == user_id).with_for_update()).all()
    return found


def rename(session: Session, user_id: str, redaction: Redaction, customers: Sequence[str]) -> dict[str, int]:
    """Let everything be the pseudonym's; returns the number of rows by table. No figure changes."""
    done: dict[str, int] = {}
    overrides = db.metadata.tables[OVERRIDES]
    done[OVERRIDES] = rowcount_of(session, delete(overrides).where(overrides.c.user_id == user_id))
    # A pseudonym would hold the seat for good, and nobody spends from an account that is gone.
    memberships = or_(MEMBERS.c.user_id == user_id, MEMBERS.c.account_user_id == user_id)
    done[MEMBERS.name] = rowcount_of(session, delete(MEMBERS).where(memberships))
    # Nothing is to be bought for somebody who is gone.
    done[AUTO_TOP_UPS.name] = rowcount_of(session, delete(AUTO_TOP_UPS).where(AUTO_TOP_UPS.c.user_id == user_id))
    for column in _naming():
        statement = update(column.table).where(column == user_id).values({column.name: redaction.pseudonym})
        done[column.table.name] = done.get(column.table.name, 0) + rowcount_of(session, statement)
    month = select(USERS.c.signed_up_at).where(USERS.c.user_id == redaction.pseudonym)
    signed_up_at = session.scalar(month)
    coarse = signed_up_at and signed_up_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    session.execute(update(USERS).where(USERS.c.user_id == redaction.pseudonym).values(signed_up_at=coarse, beta=False))
    _rename_keys(session, redaction)
    _redact_journal(session, redaction)
    done[EVENTS.name] = _drop_bodies(session, redaction, customers)
    for table in _searched():
        done[table.name] = done.get(table.name, 0) + _redact(session, table, redaction)
    return {name: rows for name, rows in sorted(done.items()) if rows}


def still_named(session: Session, redaction: Redaction) -> list[str]:
    """Return what goes on naming the person: what decides who has a flag, and reasons in rows of other users."""
    found = set()
    for name in DECIDING:
        table = db.metadata.tables[name]
        columns = [column for column in table.c if isinstance(column.type, JSON)]
        for row in session.execute(select(table).where(_contains_name(columns, redaction))).mappings():
            if any(redaction.value(row[column.name]) != row[column.name] for column in columns):
                label = row.get("flag") or row.get("name") or row.get("id")
                found.add(f"{name}: {row['environment']}/{label}" if "environment" in row else f"{name}: {label}")
    by_hand = JOURNAL.c.type.in_([each.value for each in BY_HAND])
    rows = session.execute(
        select(JOURNAL.c.id, JOURNAL.c.reason).where(by_hand, _contains_name([JOURNAL.c.reason], redaction))
    )
    # Of another user's row only the one it is about can be changed, so what somebody wrote there stays.
    found |= {f"{JOURNAL.name}: row {row.id}" for row in rows if redaction.text(row.reason) != row.reason}
    return sorted(found)


def _naming() -> list[Column[Any]]:
    tables = [*LOCKED_FIRST, *(table for table in db.metadata.sorted_tables if table not in LOCKED_FIRST)]
    return [table.c[name] for table in tables for name in NAMING if name in table.c]


def _searched() -> list[Table]:
    excluded = {JOURNAL.name, *DECIDING, *OTHERS}
    return [table for table in db.metadata.sorted_tables if table.name not in excluded and _text_columns(table)]


def _text_columns(table: Table) -> list[Column[object]]:
    return [
        column
        for column in table.c
        if isinstance(column.type, Text | JSON) and not column.primary_key and column.name not in NAMING
    ]


def _contains_name(columns: Sequence[Column[Any]], redaction: Redaction) -> Any:
    spellings = redaction.spellings
    return or_(*(cast(column, Text).contains(each, autoescape=True) for column in columns for each in spellings))


def _redact(session: Session, table: Table, redaction: Redaction) -> int:
    columns = _text_columns(table)
    rows = session.execute(select(table).where(_contains_name(columns, redaction))).mappings().all()
    return sum(_redact_row(session, table, columns, row, redaction) for row in rows)


def _redact_row(session: Session, table: Table, columns: Sequence[Column[Any]], row: Any, redaction: Redaction) -> bool:
    after = {column.name: redaction.value(row[column.name]) for column in columns}
    changed = {name: value for name, value in after.items() if value != row[name]}
    if changed:
        key = [column == row[column.name] for column in table.primary_key]
        session.execute(update(table).where(*key).values(changed))
    return bool(changed)


def _rename_keys(session: Session, redaction: Redaction) -> None:
    """Give each key that a caller chose another one, the same wherever it stands: retries stay told apart."""
    # Of chance and forgotten: a key that holds an order's number can't be guessed from what stands in its place.
    salt = secrets.token_bytes(16)
    user_id, types = redaction.pseudonym, [each.value for each in BY_CALLER]
    query = select(JOURNAL.c.id, JOURNAL.c.operation_key).where(JOURNAL.c.user_id == user_id)
    rows = session.execute(query.where(JOURNAL.c.type.in_(types), JOURNAL.c.operation_key.is_not(None))).all()
    if not rows:
        return
    fresh = {row.operation_key: hashlib.blake2b(row.operation_key.encode(), key=salt).hexdigest()[:32] for row in rows}
    by_row = [{"of_id": row.id, "fresh": fresh[row.operation_key]} for row in rows]
    changed = update(JOURNAL).where(JOURNAL.c.user_id == user_id, JOURNAL.c.id == bindparam("of_id"))
    session.connection().execute(changed.values(operation_key=bindparam("fresh")), by_row)
    by_key = [{"of_key": key, "fresh": value} for key, value in fresh.items()]
    for table in (KEYS, RESERVATIONS):
        own = update(table).where(table.c.user_id == user_id, table.c.key == bindparam("of_key"))
        extra = {"fingerprint": GONE} if table is KEYS else {}
        session.connection().execute(own.values(key=bindparam("fresh"), **extra), by_key)


def _redact_journal(session: Session, redaction: Redaction) -> None:
    own = JOURNAL.c.user_id == redaction.pseudonym
    by_hand = JOURNAL.c.type.in_([each.value for each in BY_HAND])
    session.execute(update(JOURNAL).where(own, by_hand).values(reason=GONE))
    columns = [JOURNAL.c.reason, JOURNAL.c.shadow_reason, JOURNAL.c.context]
    for row in session.execute(select(JOURNAL).where(own, _contains_name(columns, redaction))).mappings().all():
        _redact_row(session, JOURNAL, columns, row, redaction)


def _drop_bodies(session: Session, redaction: Redaction, customers: Sequence[str]) -> int:
    """Forget what Stripe's events say of a customer, and end those that wait: later they would say it again."""
    named = [
        row.id
        for row in session.execute(select(EVENTS.c.id, EVENTS.c.body).where(EVENTS.c.state.in_(("parked", "dead"))))
        if row.body and redaction.text(row.body.decode(errors="replace")) != row.body.decode(errors="replace")
    ]
    own = or_(EVENTS.c.customer_id.in_(customers), EVENTS.c.id.in_(named))
    stuck = update(EVENTS).where(own, EVENTS.c.state.in_(("parked", "dead")))
    session.execute(stuck.values(state="ignored", waiting_for=None, reason="The person was erased."))
    return rowcount_of(session, update(EVENTS).where(own, EVENTS.c.body.is_not(None)).values(body=None))
