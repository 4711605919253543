"""Organisations: who spends from whose account, written with a reason, and in force in every process seconds later."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.memberships import Membership
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.operations.members import MEMBERS
from credits_engine.store import members
from flags.evaluation.bucketing import refused_user_id

RELOAD_SECONDS = 2.0
LEAD = timedelta(seconds=10)
"""How long before it counts a membership is written: every process has read it by then, so no two disagree."""
LIMIT_MAX = 10**12


def add(
    session: Session, user_id: str, account_id: str, limits: Mapping[str, int], change: ChangeContext
) -> Membership:
    """Let a user spend from an account, at most so much of each kind in a period; once more with other limits.

    Raises Problem: 404 for an unknown account, 409 without a seat or for one who can't be a member, 422 for an id or
    limits that can't be used.
    """
    if refused := refused_user_id(user_id):
        raise Problem(422, "INVALID_USER_ID", refused)
    _check_limits(limits)
    # Both rows are locked: of two who are added at once the second sees the first, so no seat is given twice and
    # nobody becomes a member while they get one.
    plan = members.lock_accounts(session, account_id, user_id).get(account_id)
    if plan is None:
        raise Problem(404, "UNKNOWN_USER", f"Account {account_id[:80]!r} is not in the directory; add it first.")
    before = members.find(session, user_id)
    is_member = before is not None and not before.has_ended(change.now)
    _check_place(session, user_id, account_id, before if is_member else None, change.now)
    if not is_member:
        _check_seats(session, account_id, plan, change.now)
    is_same = before is not None and before.ends_at is None and before.account_id == account_id
    starts_at = before.starts_at if before and is_same else change.now + LEAD
    former = tuple(each.account_id for each in before.earlier() if each.account_id != account_id) if before else ()
    found = Membership(user_id, account_id, starts_at, dict(limits), former_accounts=former[::-1])
    if not members.put(session, found, replacing=before, by=change.actor):
        raise Problem(409, "OTHER_ACCOUNT", f"{user_id[:80]!r} was made a member at this very moment; look again.")
    after = {"account": account_id, "limits": dict(limits), "starts": starts_at.isoformat()}
    audit.record(session, change, action="credits.member", subject=f"user:{user_id}", after=after)
    return found


def remove(session: Session, user_id: str, change: ChangeContext) -> Membership:
    """Let a user spend from their own account again; what they used stays used. Raises Problem 404."""
    found = members.find(session, user_id)
    if found is None or found.ends_at is not None:
        raise Problem(404, "NO_MEMBER", f"User {user_id[:80]!r} is no member of an organisation.")
    members.lock_accounts(session, found.account_id)
    ends_at = change.now + LEAD
    members.end(session, user_id, ends_at)
    after = {"account": found.account_id, "ends": ends_at.isoformat()}
    audit.record(session, change, action="credits.member_removed", subject=f"user:{user_id}", after=after)
    return replace(found, ends_at=ends_at)


def seats(plan: str) -> int | None:
    """Return how many members a plan has room for; None where it is not by the seat."""
    try:
        found = CATALOGUE.plan(plan)
    except UnknownPlanError:
        return None
    return found.seats if found.per_seat else None


def reload(_now: datetime) -> None:
    """Bring this process up to who is a member of what."""
    with read_only() as session:
        found = {each.user_id: each for each in members.every(session)}
    MEMBERS.set(current_app, found)


def init_app(app: Flask) -> None:
    """Know the members from the first request on, and follow them while this process runs."""
    MEMBERS.set(app, {})
    with suppress(SQLAlchemyError), app.app_context():
        # Where the database is away, the schedule does it as soon as that is back.
        reload(clock.now())
    jobs.jobs_of(app).run_on_all(RELOAD_SECONDS, "credit-members", reload)


def _check_limits(limits: Mapping[str, int]) -> None:
    if unknown := sorted(limits.keys() - set(KINDS)):
        raise Problem(422, "UNKNOWN_CREDIT_TYPE", f"There is no kind {unknown[0][:50]!r}; use {' or '.join(KINDS)}.")
    if any(not 0 <= limit <= LIMIT_MAX for limit in limits.values()):
        raise Problem(
            422,
            "INVALID_LIMIT",
            f"A member's limit is a whole number from 0 to {LIMIT_MAX:,}; leave out what has none.",
        )


def _check_place(session: Session, user_id: str, account_id: str, before: Membership | None, now: datetime) -> None:
    account = members.find(session, account_id)
    if user_id == account_id:
        raise Problem(409, "OWN_ACCOUNT", "Nobody is a member of their own account.")
    if account is not None and not account.has_ended(now):
        raise Problem(409, "ACCOUNT_IS_MEMBER", f"{account_id[:80]!r} is a member of an organisation, and has none.")
    if members.of_account(session, user_id, now):
        raise Problem(409, "HAS_MEMBERS", f"{user_id[:80]!r} has members, so it can't be one.")
    if before is not None and before.account_id != account_id:
        raise Problem(
            409, "OTHER_ACCOUNT", f"{user_id[:80]!r} is a member of another account; remove them there first."
        )


def _check_seats(session: Session, account_id: str, plan: str, now: datetime) -> None:
    limit, taken = seats(plan), len(members.of_account(session, account_id, now))
    if limit is not None and taken >= limit:
        raise Problem(
            409, "NO_SEAT_LEFT", f"All {limit} seats of {account_id[:80]!r} are taken; buy another one first."
        )
