"""Operations of members of an organisation: taken from its account, within what each may spend.

Which account that is every process reads ahead of time (`MEMBERS`), so the operations of everybody else cost nothing
more. A membership begins and ends some seconds after it is written: by then every process knows, and they agree.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.extensions import AppState
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.memberships import Membership, beyond_limit, member_key, refused
from credits_engine.operations.account_books import Books
from credits_engine.store import accounts, members, reservations

MEMBERS = AppState[Mapping[str, Membership]]("credit_members")


def membership(user_id: str, now: datetime) -> Membership | None:
    """Return the membership that is in force; None for whoever has an account of their own."""
    found = MEMBERS.get().get(user_id)
    return found if found and found.is_in_force(now) else None


def account_of(user_id: str, now: datetime) -> str:
    """Return the account that a user's operations are taken from."""
    found = membership(user_id, now)
    return found.account_id if found else user_id


def membership_of(session: Session, user_id: str, key: str, now: datetime) -> Membership | None:
    """Return the membership that an operation is of: the one it was answered under, else the one in force.

    Who joined or left between an operation and its retry gets the first answer again, and is not charged twice.
    """
    found = MEMBERS.get().get(user_id)
    if found is None:
        return None
    in_force = found if found.is_in_force(now) else None
    for each in (in_force, None, *found.earlier()):
        account_id, stored_key = place_of(each, user_id, key)
        known = accounts.find(session, account_id, key=stored_key)
        if known and known[1] and known[1].is_final:
            return each
    return in_force


def place_of(member: Membership | None, user_id: str, key: str) -> tuple[str, str]:
    """Return the account and the key that an operation is under."""
    return (member.account_id, member_key(user_id, key)) if member else (user_id, key)


def reservation_place(session: Session, user_id: str, key: str) -> tuple[str, str]:
    """Return the account and the key that a reservation of this user is under.

    It stays there when they join or leave meanwhile.
    """
    found = MEMBERS.get().get(user_id)
    for each in found.earlier() if found else ():
        place = place_of(each, user_id, key)
        if reservations.find(session, *place) is not None:
            return place
    return user_id, key


def within_limit(session: Session, member: Membership, books: Books, requested: Amounts) -> Books:
    """Return the books as both engines are to judge them: refused where the member's own limit is passed.

    Call it with the books locked, or two operations of one member could pass it together.
    """
    used = members.used(session, member, books.v2.period.start)
    reason = beyond_limit(member, used, requested)
    return replace(books, legacy=refused(books.legacy, reason), v2=refused(books.v2, reason))
