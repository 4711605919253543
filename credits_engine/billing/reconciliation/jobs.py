"""The comparison with Stripe on its schedule: once a day, and after every outage of ours or of Stripe's."""

from datetime import datetime, timedelta

import structlog

from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing import metrics
from credits_engine.billing.reconciliation.comparison import Discrepancy, reconcile
from credits_engine.billing.reconciliation.missed import EVENTS_GONE, MISSED_EVENT, MISSED_OBJECT, missed_since
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
    try:
        found, compared = _found(gateway, since, now)
    except (StripeUnavailableError, BreakerOpenError) as error:
        log.warning("billing.check_broken_off", reason=str(error))
        with transaction() as session:
            findings.update_check(session, now=now, error=str(error)[:1000])
        return
    with transaction() as session:
        findings.add(session, found, now=now)
        findings.close_unseen(session, now=now, by=CLOCK, but=EVENTS_GONE)
        findings.update_check(session, now=now, finished_at=now, read_until=now, compared=compared, error=None)
    metrics.report_missed_events([each.object_id for each in found if each.kind == MISSED_EVENT])
    log.info("billing.checked", compared=compared, findings=len(found))


def _found(gateway: StripeGateway, since: datetime | None, now: datetime) -> tuple[list[Finding], int]:
    found, compared = list(missed_since(gateway, since, now=now)), 0
    for each in reconcile(gateway, now=now, actor=CLOCK):
        if isinstance(each, Discrepancy):
            found.append(Finding(each.kind, each.subscription_id or each.sentence, each.user_id, each.sentence))
        else:
            compared += each
    return found, compared
