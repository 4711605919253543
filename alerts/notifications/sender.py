"""Delivering notifications, on the leader: each is claimed by compare-and-set, sent outside a transaction, ticked off.

Two leaders for a moment send nothing twice. A process that dies between sending and ticking off is the one case in
which a target hears something again: better twice than never.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from flask import Flask
from prometheus_client import Counter

from alerts.notifications import messages, outbox, store, targets
from alerts.notifications.store import Delivery, State
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs

DELIVER_SECONDS = 1.0
AT_ONCE = 20
ATTEMPTS_MAX = 12
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=10)
FAILURE = "notice_failure"

DELIVERIES = Counter("rollout_notice_deliveries", "Attempts to deliver a notice, by outcome.", ["outcome"])
for outcome in ("delivered", "failed", "dead"):
    DELIVERIES.labels(outcome)

Send = Callable[[str, str, str], bool]
"""Sends (address, title, body); False or any exception when the target did not take it."""

log = structlog.get_logger()


def send(address: str, title: str, body: str) -> bool:
    """Send one message by apprise, to the address itself: what it redirects to gets no secret of ours."""
    import apprise  # noqa: PLC0415 - heavy, and most processes send nothing

    target = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
    return target.add(address) and bool(target.notify(body=body, title=title))


def deliver(now: datetime, send: Send = send) -> int:
    """Deliver what is due; returns how many targets took theirs."""
    with read_only() as session:
        waiting = store.due(session, now, most=AT_ONCE)
    return sum(_deliver(delivery, now, send) for delivery in waiting)


def init_app(app: Flask) -> None:
    """Put the delivery on the leader's schedule."""
    jobs.run_on_leader(app, DELIVER_SECONDS, "deliver-notices", _run)


def pause_after(attempts: int) -> timedelta:
    """Return the pause after so many attempts: ten seconds, doubling up to ten minutes."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(attempts, 10)
    return min(LONGEST_PAUSE, doubled)


def _run(now: datetime) -> None:
    deliver(now)


def _deliver(delivery: Delivery, now: datetime, send: Send) -> bool:
    with transaction() as session:
        if not store.claim(session, delivery, retry_at=now + pause_after(delivery.attempts)):
            return False
    error = _attempt(delivery, send)
    if error is None:
        with transaction() as session:
            store.finish(session, delivery, State.DELIVERED, now=now)
        DELIVERIES.labels("delivered").inc()
        signals.record(Sample(FAILURE, bad=False))
        return True
    _failed(delivery, error, now)
    return False


def _attempt(delivery: Delivery, send: Send) -> str | None:
    """Return why the target did not take it; None when it did. The address stays out, for it is a secret."""
    address = targets.addresses().get(delivery.target)
    if address is None:
        return "Its address is no longer in NOTIFY_URLS."
    try:
        return None if send(address, delivery.title, delivery.body) else "The target did not take it."
    except Exception as error:
        return f"It could not be sent: {type(error).__name__}."


def _failed(delivery: Delivery, error: str, now: datetime) -> None:
    dead = delivery.attempts + 1 >= ATTEMPTS_MAX or delivery.target not in targets.addresses()
    with transaction() as session:
        if not dead:
            store.record_failure(session, delivery, error)
        elif store.finish(session, delivery, State.DEAD, now=now, error=error) and delivery.kind != "undelivered":
            message = messages.undelivered_message(
                delivery.notification_id, delivery.flag, delivery.title, label=delivery.label
            )
            outbox.enqueue(session, message, now=now, without=delivery.target)
    DELIVERIES.labels("dead" if dead else "failed").inc()
    signals.record(Sample(FAILURE, bad=True))
    log.warning("notice.not_delivered", notice=delivery.notification_id, target=delivery.label, dead=dead, error=error)
