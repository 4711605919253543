"""Rows of members of organisations, and by how much each operation of theirs moved what they have used."""

from datetime import datetime
from typing import cast

from sqlalchemy import ColumnElement, Select, Table, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.amount_types import per_kinds, summed
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.memberships import Membership
from credits_engine.member_models import CreditMember, MemberEntry
from credits_engine.store.tables import USERS, ResultRow, insert_if_absent, inserted

MEMBERS = cast(Table, CreditMember.__table__)
ENTRIES = cast(Table, MemberEntry.__table__)
PUT = insert_if_absent(MEMBERS)
EVERY = CompiledStatement(select(MEMBERS).order_by(MEMBERS.c.user_id))
OF_ACCOUNT = MEMBERS.c.account_user_id == bindparam("account_id")

PLAN_LOCKED = select(USERS.c.plan).where(USERS.c.user_id == bindparam("user_id")).with_for_update()


def _used() -> Select[Amounts]:
    return select(summed(ENTRIES.c.amounts).label("used")).where(
        ENTRIES.c.account_user_id == bindparam("account_id"),
        ENTRIES.c.user_id == bindparam("user_id"),
        ENTRIES.c.period_start == bindparam("period_start"),
    )


USED = per_kinds(_used)


def every(session: Session) -> tuple[Membership, ...]:
    """Return every membership, those that ended too."""
    return tuple(_read(row) for row in EVERY.fetch_all(session))


def of_account(session: Session, account_id: str, now: datetime) -> tuple[Membership, ...]:
    """Return who is or will be a member of an account."""
    query = select(MEMBERS).where(OF_ACCOUNT, _not_ended(now))
    return tuple(_read(row) for row in session.execute(query.order_by(MEMBERS.c.user_id), {"account_id": account_id}))


def organisations(session: Session, now: datetime, *, after: str, limit: int) -> tuple[tuple[str, int], ...]:
    """Return the accounts behind `after` that have members, by their name, and how many each has."""
    account_id = MEMBERS.c.account_user_id
    query = select(account_id, func.count()).where(account_id > after, _not_ended(now)).group_by(account_id)
    return tuple((name, size) for name, size in session.execute(query.order_by(account_id).limit(limit)))


def find(session: Session, user_id: str) -> Membership | None:
    """Return a user's last membership."""
    row = session.execute(select(MEMBERS).where(MEMBERS.c.user_id == user_id)).one_or_none()
    return _read(row) if row else None


def lock_accounts(session: Session, *user_ids: str) -> dict[str, str]:
    """Return the plans of those who are known, whose rows are locked: who is added meanwhile waits."""
    # One after the other, in one order: each lies where its name says.
    found = {each: session.scalar(PLAN_LOCKED, {"user_id": each}) for each in sorted(set(user_ids))}
    return {user_id: plan for user_id, plan in found.items() if plan is not None}


def put(session: Session, member: Membership, *, replacing: Membership | None, by: str) -> bool:
    """Let somebody be a member from the start on, in place of the membership seen; False if that changed meanwhile."""
    if replacing is not None:
        is_replaced = MEMBERS.c.user_id == member.user_id, MEMBERS.c.account_user_id == replacing.account_id
        session.execute(delete(MEMBERS).where(*is_replaced, MEMBERS.c.starts_at == replacing.starts_at))
    row = {"user_id": member.user_id, "account_user_id": member.account_id, "limits": dict(member.limits)}
    dates = {"starts_at": member.starts_at, "ends_at": member.ends_at}
    rest = {"added_by": by, "former_accounts": list(member.former_accounts)}
    return inserted(session, PUT, {**row, **dates, **rest})


def end(session: Session, user_id: str, at: datetime) -> None:
    """Let a membership end."""
    session.execute(update(MEMBERS).where(MEMBERS.c.user_id == user_id).values(ends_at=at))


def used(session: Session, member: Membership, period_start: datetime) -> Amounts:
    """Return what a member has used of the account's period."""
    params = {"account_id": member.account_id, "user_id": member.user_id, "period_start": period_start}
    found: Amounts | None = execute_core(session, USED(), params).scalar_one()
    return found or NOTHING


def add_entry(session: Session, journal_id: int, member: Membership, period_start: datetime, amounts: Amounts) -> None:
    """Add what an operation took for a member."""
    row = {"journal_id": journal_id, "account_user_id": member.account_id, "user_id": member.user_id}
    session.execute(insert(ENTRIES).values(**row, period_start=period_start, amounts=amounts))


def move_entries(session: Session, account_id: str, period_start: datetime, *, to: datetime) -> None:
    """Let what members used of a period of an account count in the one that begins at `to`."""
    of_period = ENTRIES.c.account_user_id == account_id, ENTRIES.c.period_start == period_start
    session.execute(update(ENTRIES).where(*of_period).values(period_start=to))


def give_back(session: Session, account_id: str, journal_id: int, *, of: int, amounts: Amounts) -> None:
    """Add what was given back of an operation of an account, for whichever member it was of."""
    taken = ENTRIES.c.account_user_id == account_id, ENTRIES.c.journal_id == of
    found = session.execute(select(ENTRIES).where(*taken)).one_or_none()
    if found is not None:
        row = {"account_user_id": found.account_user_id, "user_id": found.user_id, "period_start": found.period_start}
        session.execute(insert(ENTRIES).values(**row, journal_id=journal_id, amounts=-amounts))


def _not_ended(now: datetime) -> ColumnElement[bool]:
    return or_(MEMBERS.c.ends_at.is_(None), MEMBERS.c.ends_at > now)


def _read(row: ResultRow) -> Membership:
    former = tuple(row.former_accounts)
    return Membership(row.user_id, row.account_user_id, row.starts_at, dict(row.limits), row.ends_at, former)
