"""The inbox: events are put in once, claimed by compare-and-set, and finished by the claim that still holds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Executable, Integer, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import DialectInsert, execute_core, per_dialect, rowcount_of
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.billing.models import ATTEMPTS, EVENTS, IS_OPEN, IS_STUCK


class State(StrEnum):
    """The state of an event. The last four are final; parked and dead ones wait for a change."""

    NEW = "new"
    CLAIMED = "claimed"
    PARKED = "parked"
    DEAD = "dead"
    APPLIED = "applied"
    SUPERSEDED = "superseded"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event as it came in, verified."""

    event_id: str
    type: str
    api_version: str
    livemode: bool
    customer_id: str | None
    object_id: str | None
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """An event that one worker may work on until its lease runs out; `attempt` counts this try."""

    id: int
    event_id: str
    type: str
    body: bytes | None
    attempt: int
    worker: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an event, as a sentence; `waiting_for` names what a parked one waits for."""

    state: State
    reason: str
    waiting_for: str | None = None


def _upsert(insert_into: DialectInsert) -> Executable:
    statement = insert_into(EVENTS)
    again = {"deliveries": EVENTS.c.deliveries + 1, "delivered_at": statement.excluded.delivered_at}
    return statement.on_conflict_do_update(index_elements=["event_id"], set_=again)


PUT = per_dialect(_upsert)
NOTE = insert(ATTEMPTS)
PEEK = (
    select(EVENTS.c.id)
    .where(IS_OPEN, EVENTS.c.next_at <= bindparam("now"))
    .order_by(EVENTS.c.next_at, EVENTS.c.id)
    .limit(bindparam("most", type_=Integer))
)
ANY_DUE = CompiledStatement(PEEK)
DUE = PEEK.with_for_update(skip_locked=True)
CLAIM = (
    update(EVENTS)
    .where(
        EVENTS.c.id.in_(bindparam("ids", expanding=True)),
        IS_OPEN,
        EVENTS.c.next_at <= bindparam("now"),
    )
    .values(
        state=State.CLAIMED.value,
        attempts=EVENTS.c.attempts + 1,
        claimed_by=bindparam("worker"),
        next_at=bindparam("lease_ends_at"),
    )
    .returning(EVENTS.c.id, EVENTS.c.event_id, EVENTS.c.type, EVENTS.c.body, EVENTS.c.attempts, EVENTS.c.received_at)
)
FINISH = (
    update(EVENTS)
    .where(
        EVENTS.c.id == bindparam("of_id"),
        EVENTS.c.state == State.CLAIMED.value,
        EVENTS.c.attempts == bindparam("of_attempt"),
        EVENTS.c.claimed_by == bindparam("of_worker"),
    )
    .values(
        state=bindparam("to_state"),
        reason=bindparam("why"),
        waiting_for=bindparam("for_what"),
        attempts=bindparam("counted"),
        next_at=bindparam("again_at"),
        finished_at=bindparam("at"),
    )
)


def add_delivery(session: Session, deliveries: Sequence[Delivery]) -> None:
    """Store events that are not there yet, and count the delivery of those that are."""
    execute_core(session, PUT, [_row(delivery) for delivery in deliveries])


def counts(session: Session) -> dict[str, int]:
    """Count the events in every state."""
    found = session.execute(select(EVENTS.c.state, func.count().label("number")).group_by(EVENTS.c.state))
    return {state.value: 0 for state in State} | {row.state: row.number for row in found}


def has_due(session: Session, now: datetime) -> bool:
    """Return whether there is an event to claim."""
    return bool(ANY_DUE.fetch_all(session, {"now": now, "most": 1}))


def claim(session: Session, worker: str, *, now: datetime, lease_ends_at: datetime, most: int) -> list[Claim]:
    """Take what is due, oldest first: new events and those whose worker let its lease run out."""
    ids = [row.id for row in execute_core(session, DUE, {"now": now, "most": most})]
    if not ids:
        return []
    found = execute_core(session, CLAIM, {"ids": ids, "now": now, "worker": worker, "lease_ends_at": lease_ends_at})
    claims = [Claim(r.id, r.event_id, r.type, r.body, r.attempts, worker, r.received_at) for r in found]
    return sorted(claims, key=lambda each: ids.index(each.id))


def finish(session: Session, claim: Claim, outcome: Outcome, *, now: datetime) -> bool:
    """Record how a claimed event ended. False when the claim was lost: then nothing of it may be committed."""
    return _leave(session, claim, outcome, counted=claim.attempt, again_at=now, finished_at=now)


def requeue(session: Session, claim: Claim, reason: str, *, again_at: datetime, counts: bool) -> bool:
    """Return a claimed event to be tried again; an attempt that `counts` brings it closer to being given up."""
    counted = claim.attempt if counts else claim.attempt - 1
    outcome = Outcome(State.NEW, reason)
    return _leave(session, claim, outcome, counted=counted, again_at=again_at, finished_at=None)


def record_attempt(session: Session, event_id: str, *, number: int, actor: str, outcome: str, now: datetime) -> None:
    """Keep a failed attempt, or an order to try again, for whoever looks into the event."""
    row = {"event_id": event_id, "at": now, "number": number, "actor": actor, "outcome": outcome}
    execute_core(session, NOTE, row)


def release(session: Session, waiting_for: str, *, now: datetime) -> int:
    """Let the parked events go on that waited for this; returns how many."""
    statement = (
        update(EVENTS)
        .where(IS_STUCK, EVENTS.c.state == State.PARKED.value, EVENTS.c.waiting_for == waiting_for)
        .values(state=State.NEW.value, next_at=now, waiting_for=None)
    )
    return rowcount_of(session, statement)


def awaited(session: Session, prefix: str) -> list[str]:
    """List what parked events wait for, where its name starts with `prefix`."""
    query = (
        select(EVENTS.c.waiting_for)
        .where(IS_STUCK, EVENTS.c.state == State.PARKED.value, EVENTS.c.waiting_for.startswith(prefix, autoescape=True))
        .distinct()
        .order_by(EVENTS.c.waiting_for)
    )
    return [name for name in session.scalars(query) if name]


def count_waiting(session: Session, names: Sequence[str]) -> dict[str, int]:
    """Count the parked events that wait for each of these."""
    query = (
        select(EVENTS.c.waiting_for, func.count())
        .where(IS_STUCK, EVENTS.c.state == State.PARKED.value, EVENTS.c.waiting_for.in_(names))
        .group_by(EVENTS.c.waiting_for)
    )
    return {str(name): number for name, number in session.execute(query)}


def replay(session: Session, event_id: str, *, now: datetime, attempts: int) -> bool:
    """Let an event be applied once more from the start; False while it is being worked on or has lost its body.

    `attempts` is what counts as tried already, so that a replay which fails again is set aside again.
    """
    statement = (
        update(EVENTS)
        .where(EVENTS.c.event_id == event_id, EVENTS.c.state != State.CLAIMED.value, EVENTS.c.body.is_not(None))
        .values(state=State.NEW.value, next_at=now, attempts=attempts, waiting_for=None)
    )
    return rowcount_of(session, statement) == 1


def purge_payloads(session: Session, *, before: datetime, most: int) -> int:
    """Drop the bodies of events that ended before this; their ids stay, so they can never be applied anew."""
    ends = (State.APPLIED.value, State.SUPERSEDED.value, State.IGNORED.value, State.REFUSED.value)
    old = (
        select(EVENTS.c.id)
        .where(EVENTS.c.received_at < before, EVENTS.c.state.in_(ends), EVENTS.c.body.is_not(None))
        .order_by(EVENTS.c.received_at)
        .limit(most)
    )
    # Only the body goes: its id must stay for ever, or Stripe's next delivery would be a new event.
    return rowcount_of(session, update(EVENTS).where(EVENTS.c.id.in_(old)).values(body=None))


def _row(delivery: Delivery) -> dict[str, object]:
    return {
        "event_id": delivery.event_id,
        "type": delivery.type,
        "api_version": delivery.api_version,
        "livemode": delivery.livemode,
        "customer_id": delivery.customer_id,
        "object_id": delivery.object_id,
        "body": delivery.body,
        "received_at": delivery.received_at,
        "deliveries": 1,
        "delivered_at": delivery.received_at,
        "state": State.NEW.value,
        "reason": "",
        "attempts": 0,
        "next_at": delivery.received_at,
    }


def _leave(
    session: Session,
    claim: Claim,
    outcome: Outcome,
    *,
    counted: int,
    again_at: datetime,
    finished_at: datetime | None,
) -> bool:
    left = {
        "of_id": claim.id,
        "of_attempt": claim.attempt,
        "of_worker": claim.worker,
        "to_state": outcome.state.value,
        "why": outcome.reason[:1000],
        "for_what": outcome.waiting_for,
        "counted": counted,
        "again_at": again_at,
        "at": finished_at,
    }
    return execute_core(session, FINISH, left).rowcount == 1


def drop_body(session: Session, event_id: str) -> None:
    """Forget what an event said; that it came stays."""
    execute_core(session, update(EVENTS).where(EVENTS.c.event_id == event_id).values(body=None))
