"""The comparison with Stripe on its schedule: once a day, and after every outage of ours or of Stripe's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing import metrics
from credits_engine.billing.reconciliation.comparison import Discrepancy, compare_subscriptions, unmapped_prices
from credits_engine.billing.reconciliation.missed import (
    EVENTS_GONE,
    MISSED_EVENT,
    MISSED_OBJECT,
    missed_events,
    missed_objects,
)
from credits_engine.billing.store import findings
from credits_engine.billing.store.findings import Finding
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeGateway, StripeUnavailableError
from credits_engine.store.tables import ResultRow

DAILY = timedelta(days=1)
OUTAGE = timedelta(minutes=10)
AGAIN = timedelta(minutes=15)
"""After a comparison that Stripe did not let come to its end."""
OVERLAP = timedelta(hours=1)
"""Read anew of the events before: what is made in one second may be listed in another order."""
CLOCK = "clock"
MISSED_KINDS = (MISSED_EVENT, *MISSED_OBJECT.values())

log = structlog.get_logger()


def check_when_due(gateway: StripeGateway | None, now: datetime) -> bool:
    """Compare if it is time to; returns whether it was. Without an API key nobody can be asked."""
    if gateway is None:
        return False
    with read_only() as session:
        state = findings.check(session)
    due = is_due(state, now)
    with transaction() as session:
        findings.update_check(session, now=now, **({"tried_at": now} if due else {}))
    if due:
        check(gateway, now)
    return due


def request_check(session: Session, change: ChangeContext) -> None:
    """Let the leader compare at its next look, a minute from now at most."""
    findings.update_check(session, now=change.now, tried_at=None)
    audit.record(session, change, action="billing.compare", subject="stripe:account")


def is_due(state: ResultRow | None, now: datetime) -> bool:
    """Return whether to compare now: never done, a day ago, or something was down since."""
    if state is None or state.tried_at is None:
        return True
    if now - state.seen_at > OUTAGE:
        return True
    if state.error is not None:
        return bool(now - state.tried_at >= AGAIN)
    return bool(now - state.tried_at >= DAILY)


def check(gateway: StripeGateway, now: datetime) -> None:
    """Compare everything once and keep what differs. What Stripe did not answer is tried again later."""
    with read_only() as session:
        state = findings.check(session)
        is_open = findings.has_open(session, MISSED_KINDS)
    # What is still missed is looked for again among all that Stripe lists, or it would seem to be gone.
    since = state.read_until - OVERLAP if state and state.read_until and not is_open else None
    result = _compared(gateway, since, now)
    with transaction() as session:
        findings.add(session, result.found, now=now)
        if not result.errors:
            findings.close_unseen(session, now=now, by=CLOCK, but=EVENTS_GONE)
            findings.update_check(session, now=now, finished_at=now, read_until=now)
        error = " ".join(result.errors)[:1000] or None
        findings.update_check(session, now=now, compared=result.compared, error=error)
    metrics.report_missed_events([each.object_id for each in result.found if each.kind == MISSED_EVENT])
    log.info("billing.checked", compared=result.compared, findings=len(result.found), errors=result.errors)


@dataclass
class _Result:
    found: list[Finding] = field(default_factory=list)
    compared: int = 0
    errors: list[str] = field(default_factory=list)


def _compared(gateway: StripeGateway, since: datetime | None, now: datetime) -> _Result:
    """Compare part by part: what Stripe does not answer about one, or a mock does not have, keeps no other from it."""
    parts: dict[str, Callable[[], Iterator[Discrepancy | Finding | int]]] = {
        "Subscriptions": lambda: compare_subscriptions(gateway, now=now, actor=CLOCK),
        "Events": lambda: missed_events(gateway, since, now=now),
        **{f"{kind.title()}s": partial(missed_objects, gateway, kind, since, now=now) for kind in MISSED_OBJECT},
        "Prices": lambda: unmapped_prices(gateway),
    }
    result = _Result()
    for name, part in parts.items():
        try:
            for each in part():
                _note(result, each)
        except (StripeUnavailableError, BreakerOpenError) as error:
            sentence = " ".join(str(error).split())
            result.errors.append(f"{name}: {sentence}")
    return result


def _note(result: _Result, each: Discrepancy | Finding | int) -> None:
    if isinstance(each, Discrepancy):
        each = Finding(each.kind, each.subscription_id or each.sentence, each.user_id, each.sentence)
    if isinstance(each, Finding):
        result.found.append(each)
    else:
        result.compared += each
