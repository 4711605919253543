"""Billing's requests and responses: their OpenAPI models, and events, accounts and findings as JSON.

The page, the API and the terminal show the same.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from control_plane.platform import json_provider
from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation, ResponseModel
from credits_engine.billing.reconciliation.comparison import Discrepancy
from credits_engine.billing.reconciliation.corrections import Correction
from credits_engine.billing.store import accounts, findings, inbox_queries
from credits_engine.billing.store.accounts import BillingAccount
from credits_engine.store.tables import ResultRow


class EventReasonRequest(BaseModel):
    """Why, for every change."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=1, max_length=2000)


class LinkRequest(EventReasonRequest):
    """Which user a customer is."""

    userId: str = Field(min_length=1, max_length=255)  # noqa: N815 - the JSON name


class MergeRequest(EventReasonRequest):
    """Which user the other one becomes part of."""

    into: str = Field(min_length=1, max_length=255)


class ReconcileRequest(BaseModel):
    """Whether to correct differences."""

    model_config = ConfigDict(extra="forbid", strict=True)

    apply: bool = False


class StripeEvent(BaseModel):
    """An event as Stripe delivers it; the signature in `Stripe-Signature` is over the very bytes."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: str
    created: int
    data: dict[str, object]


class EventReceived(ResponseModel):
    """The event is stored."""

    received: bool


class BillingRecent(ResponseModel):
    """The events of the last day."""

    by_state: dict[str, int]
    by_api_version: dict[str, int]


class BillingSummary(ResponseModel):
    """The backlog and its age."""

    waiting: dict[str, int]
    oldest_unapplied_seconds: float
    last_day: BillingRecent


class BillingEvent(ResponseModel):
    """One event of the inbox, and where it stands."""

    event_id: str
    number: int
    type: str
    state: str
    reason: str | None
    waiting_for: str | None
    customer: str | None
    object: str | None
    api_version: str | None
    livemode: bool | None
    received_at: str
    deliveries: int
    attempts: int
    next_attempt_at: str | None
    finished_at: str | None


class BillingEvents(ResponseModel):
    """A page of events, the newest first; `next` goes into `before`."""

    events: list[BillingEvent]
    next: int | None


class BillingEventInFull(BillingEvent):
    """An event with its body, its attempts and the facts that it told."""

    body: object
    history: list[dict[str, object]]
    facts: list[dict[str, object]]


class BillingReplay(ResponseModel):
    """The events to be applied again, by name or number."""

    replayed: list[str] | int


class BillingLink(ResponseModel):
    """A customer and its user, and the number of events that go on."""

    customer: str
    user_id: str
    released: int


class BillingMergeResult(ResponseModel):
    """A user who became part of another, and what changed for that one."""

    user_id: str
    into: str
    changes: list[str]


class BillingFinding(ResponseModel):
    """A difference between Stripe and us."""

    kind: str
    subscription: str | None
    user_id: str | None
    sentence: str
    corrected: bool


class BillingReport(ResponseModel):
    """The result of a comparison with Stripe."""

    compared: int
    findings: list[BillingFinding]


class BillingOpenFinding(ResponseModel):
    """A difference that is kept until it is gone or closed."""

    id: int
    kind: str
    object: str
    user_id: str | None
    sentence: str
    found_at: str


class BillingFindings(ResponseModel):
    """The open findings, the newest first, and the state of the comparison."""

    findings: list[BillingOpenFinding]
    compared_at: str | None
    error: str | None


class BillingCorrection(ResponseModel):
    """The outcome of a finding."""

    id: int
    sentence: str


class BillingPeriod(ResponseModel):
    """A service period of Stripe's."""

    start: str | None
    end: str | None


class BillingAccountDetail(ResponseModel):
    """A user's entitlement."""

    user_id: str
    plan: str
    anchor: str | None
    blocked: str | None
    reason: str | None
    subscription: str | None
    service_period: BillingPeriod
    next_change_at: str | None
    customers: list[str]
    events: list[BillingEvent]


PAGE = {"state": "Only events in this state.", "limit": "At most 200.", "before": "The number of the last one seen."}
ROUTES = {
    "stripe_webhook.receive": Documentation(body=StripeEvent, answers={200: EventReceived}),
    "billing.summary_view": Documentation(answers={200: BillingSummary}),
    "billing.events_view": Documentation(query=PAGE, answers={200: BillingEvents}),
    "billing.event_view": Documentation(answers={200: BillingEventInFull}),
    "billing.replay_view": Documentation(body=EventReasonRequest, answers={202: BillingReplay}),
    "billing.replay_all_view": Documentation(body=EventReasonRequest, answers={202: BillingReplay}),
    "billing.user_view": Documentation(answers={200: BillingAccountDetail}),
    "billing.link_view": Documentation(body=LinkRequest, answers={200: BillingLink}),
    "billing.merge_view": Documentation(body=MergeRequest, answers={200: BillingMergeResult}),
    "billing.findings_view": Documentation(answers={200: BillingFindings}),
    "billing.apply_view": Documentation(body=EventReasonRequest, answers={200: BillingCorrection}),
    "billing.dismiss_view": Documentation(body=EventReasonRequest, answers={200: BillingCorrection}),
    "billing.reconcile_view": Documentation(body=ReconcileRequest, answers={200: BillingReport}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)


Document = dict[str, Any]


def summary(session: Session, now: datetime) -> Document:
    """Serialize the backlog, its age, and the events of the last day by state and API version."""
    waiting = inbox_queries.unfinished(session, now)
    recent = inbox_queries.recent(session, now)
    return {
        "waiting": waiting.counts,
        "oldestUnappliedSeconds": round(waiting.oldest_seconds, 1),
        "lastDay": {
            "byState": _added((state, number) for state, _, number in recent),
            "byApiVersion": _added((version or "none", number) for _, version, number in recent),
        },
    }


def event(row: ResultRow) -> Document:
    """One line of the inbox."""
    return {
        "eventId": row.event_id,
        "number": row.id,
        "type": row.type,
        "state": row.state,
        "reason": row.reason,
        "waitingFor": row.waiting_for,
        "customer": row.customer_id,
        "object": row.object_id,
        "apiVersion": row.api_version,
        "livemode": row.livemode,
        "receivedAt": _moment(row.received_at),
        "deliveries": row.deliveries,
        "attempts": row.attempts,
        "nextAttemptAt": _moment(row.next_at) if row.state == "new" else None,
        "finishedAt": _moment(row.finished_at),
    }


def event_in_full(session: Session, row: ResultRow) -> Document:
    """An event with its body, the attempts that failed and the facts that it told."""
    return event(row) | {
        "body": _body_text(row.body) if row.body else None,
        "history": [
            {"at": _moment(each.at), "attempt": each.number, "by": each.actor, "outcome": each.outcome}
            for each in inbox_queries.attempts(session, row.event_id)
        ],
        "facts": [
            {"identity": each.identity, "kind": each.kind, **json.loads(each.document)}
            for each in inbox_queries.facts_of_event(session, row.event_id)
        ],
    }


def account(session: Session, found: BillingAccount) -> Document:
    """Serialize a user's entitlement and the newest events about them."""
    customers = accounts.customers_of(session, found.user_id)
    return {
        "userId": found.user_id,
        "plan": found.plan,
        "anchor": _moment(found.anchor),
        "blocked": found.blocked,
        "reason": found.reason,
        "subscription": found.subscription_id,
        "servicePeriod": {"start": _moment(found.service_start), "end": _moment(found.service_end)},
        "nextChangeAt": _moment(found.due_at),
        "customers": customers,
        "events": [event(row) for row in inbox_queries.of_customers(session, customers)],
    }


def report(findings: Sequence[Discrepancy], compared: int) -> Document:
    """Serialize the result of a reconciliation."""
    return {
        "compared": compared,
        "findings": [
            {
                "kind": each.kind,
                "subscription": each.subscription_id,
                "userId": each.user_id,
                "sentence": each.sentence,
                "corrected": each.is_corrected,
            }
            for each in findings
        ],
    }


def findings_page(session: Session, *, limit: int) -> Document:
    """Serialize the open findings and when Stripe was asked last."""
    state = findings.check(session)
    return {
        "findings": [
            {
                "id": each.id,
                "kind": each.kind,
                "object": each.object_id,
                "userId": each.user_id,
                "sentence": each.sentence,
                "foundAt": _moment(each.found_at),
            }
            for each in findings.listed(session, limit=limit)
        ],
        "comparedAt": _moment(state.finished_at) if state else None,
        "error": state.error if state else None,
    }


def correction(done: Correction) -> Document:
    """Serialize what became of a finding."""
    return {"id": done.finding_id, "sentence": done.sentence}


def _body_text(body: bytes) -> object:
    """A body as JSON; as text where it is none that every reader of our answer could take."""
    try:
        return json_provider.loads(body)
    except json_provider.MalformedJSON:
        return body.decode(errors="replace")


def _added(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for name, number in pairs:
        sums[name] = sums.get(name, 0) + number
    return sums


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
