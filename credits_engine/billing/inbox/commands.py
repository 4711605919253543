"""Commands of people on events and customers: replay and link. Each is audited with its reason."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem
from credits_engine.billing.inbox.handler import CUSTOMER
from credits_engine.billing.inbox.worker import ATTEMPTS_MAX
from credits_engine.billing.store import accounts, inbox, inbox_queries
from credits_engine.billing.store.inbox import State


def replay(session: Session, event_id: str, *, now: datetime, actor: str, reason: str) -> None:
    """Have an event applied once more. Raises Problem: 404 for an unknown one, 409 where that isn't possible."""
    found = inbox_queries.event(session, event_id)
    if found is None:
        raise Problem(
            404, "EVENT_NOT_FOUND", f"The inbox holds no event {event_id!r}; `rollout billing events` lists it."
        )
    if found.body is None:
        detail = f"The body of {event_id} was dropped after 90 days; `rollout billing reconcile` asks Stripe instead."
        raise Problem(409, "EVENT_BODY_DROPPED", detail)
    if not inbox.replay(session, event_id, now=now, attempts=ATTEMPTS_MAX - 1):
        raise Problem(409, "EVENT_IN_WORK", f"A worker is applying {event_id}; try again in a minute.")
    inbox.record_attempt(
        session, event_id, number=found.attempts, actor=actor, outcome=f"Replay ordered: {reason}", now=now
    )
    audit.record(
        session,
        ChangeContext(now, actor, reason),
        action="billing.replay",
        subject=f"stripe:{event_id}",
        before={"state": found.state, "reason": found.reason},
    )


def replay_all(session: Session, state: State, *, now: datetime, actor: str, reason: str) -> list[str]:
    """Have every parked or every dead event applied once more; returns their ids."""
    found = inbox_queries.stuck(session, state)
    for event_id in found:
        replay(session, event_id, now=now, actor=actor, reason=reason)
    return found


def link(session: Session, customer_id: str, user_id: str, *, now: datetime, actor: str, reason: str) -> int:
    """Say which user a customer is; returns how many events had waited for that.

    Raises Problem 409 for a customer who is somebody else already: their facts have counted for that user.
    """
    known = accounts.lock_customer(session, customer_id)
    if known not in (None, user_id):
        detail = f"Customer {customer_id} is user {known} already; cancel and subscribe again under the right user."
        raise Problem(409, "CUSTOMER_LINKED", detail)
    accounts.link(session, customer_id, user_id, now=now, by=actor)
    audit.record(
        session,
        ChangeContext(now, actor, reason),
        action="billing.link",
        subject=f"stripe:{customer_id}",
        after={"user": user_id},
    )
    return inbox.release(session, f"{CUSTOMER}{customer_id}", now=now)
