"""Events, accounts and findings as JSON: the API and the terminal show the same."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from control_plane.platform import json_provider
from credits_engine.billing import price_administration
from credits_engine.billing.price_administration import Difference
from credits_engine.billing.reconciliation.comparison import Discrepancy
from credits_engine.billing.reconciliation.corrections import Correction
from credits_engine.billing.store import accounts, findings, inbox_queries
from credits_engine.billing.store.accounts import BillingAccount
from credits_engine.store.tables import ResultRow

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
    """Return one line of the inbox."""
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
    """Return an event with its body, the attempts that failed and the facts that it told."""
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


def prices_difference(found: Difference) -> Document:
    """Serialize what applying prices does."""
    return {
        "added": [price_administration.document_of(each) for each in found.added],
        "missing": list(found.missing),
        "waiting": dict(found.waiting),
        "notAtStripe": list(found.not_at_stripe),
    }


def correction(done: Correction) -> Document:
    """Serialize what became of a finding."""
    return {"id": done.finding_id, "sentence": done.sentence}


def _body_text(body: bytes) -> object:
    """Return a body as JSON; as text where it is none that every reader of our answer could take."""
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
