"""Tell the product when a user has used most of a limit, and when one was refused: by signed requests, once each.

The leader reads the journal, so an operation waits for none of it and a delivery can't be lost with a process. Signed
as Standard Webhooks have it: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

import structlog
from flask import Flask
from prometheus_client import Counter

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import current
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.usage_thresholds import passed
from credits_engine.store import usage_webhooks
from credits_engine.store.tables import ResultRow
from credits_engine.store.usage_webhooks import State

THRESHOLD, REFUSED = "credits.threshold", "credits.refused"
EVERY_SECONDS = 2.0
SEND_SECONDS = 5.0
AT_ONCE = 20
ATTEMPTS_MAX = 20
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(hours=1)
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret of the standard begins with

DELIVERIES = Counter("rollout_usage_webhook_deliveries", "Attempts to deliver a webhook, by outcome.", ["outcome"])
for outcome in ("delivered", "failed", "dead"):
    DELIVERIES.labels(outcome)

Send = Callable[[str, bytes, Mapping[str, str]], int]
"""Sends (address, body, headers); returns the status of the answer."""

log = structlog.get_logger()


def collect(now: datetime) -> int:
    """Put into the outbox what the next rows of the journal have to tell; returns how much that is."""
    with transaction() as session:
        rows = usage_webhooks.next_rows(session)
        found = [each for row in rows for each in events_of(row)]
        return sum(usage_webhooks.add(session, each, now=now) for each in found)


def events_of(row: ResultRow) -> Iterator[dict[str, object]]:
    """Yield what an operation has to tell, by the figures of the engine that served it."""
    engine = row.served_engine
    used, limits = getattr(row, f"{engine}_used", None), getattr(row, f"{engine}_limit", None)
    if used is None or limits is None:
        return
    fixed = {"user_id": row.user_id, "engine": engine, "occurred_at": row.occurred_at}
    charged = getattr(row, f"{engine}_posted")
    for kind in KINDS[: len(limits.figures)]:
        limit, before, after = limits[kind], used[kind], used[kind] + charged[kind]
        about = {**fixed, "kind": kind, "granted": limit or 0}
        for percent in passed(before, after, limit):
            since = getattr(row, f"{engine}_period_start")
            yield {**about, "event": THRESHOLD, "percent": percent, "since": since, "used": after}
        is_short = limit is not None and before + row.requested[kind] > limit
        if row.outcome == Outcome.DENIED_LIMIT.value and row.requested[kind] and is_short:
            # Whoever asks again and again is told of once an hour.
            since = row.occurred_at.replace(minute=0, second=0, microsecond=0)
            yield {**about, "event": REFUSED, "percent": 0, "since": since, "used": before}


def deliver(now: datetime, send: Send | None = None) -> int:
    """Deliver what is due; returns how much of it was taken."""
    with read_only() as session:
        waiting = usage_webhooks.due(session, now, most=AT_ONCE)
    return sum(_deliver(row, now, send or post) for row in waiting)


def body_of(row: ResultRow) -> bytes:
    """Write a delivery as JSON."""
    threshold = {"percent": row.percent} if row.event == THRESHOLD else {}
    data = {
        "userId": row.user_id,
        "creditType": row.kind,
        **threshold,
        "used": row.used,
        "limit": row.granted,
        "engine": row.engine,
    }
    document = {"type": row.event, "timestamp": row.occurred_at.isoformat(), "data": data}
    return json.dumps(document, ensure_ascii=False).encode()


def signed_headers(secret: str, message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """Sign a body as the standard has it: id, time and body, by HMAC-SHA256."""
    timestamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signature = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), "sha256")
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def post(address: str, body: bytes, headers: Mapping[str, str]) -> int:
    """Send a body; what the address redirects to gets nothing of ours."""
    import requests  # noqa: PLC0415 - heavy, and only who has set an address sends

    # The answer's body is never read: a time limit counts anew with each byte, so one could be sent for ever.
    with requests.post(
        address, data=body, headers=headers, timeout=SEND_SECONDS, allow_redirects=False, stream=True
    ) as response:
        return response.status_code


def pause_after(attempts: int) -> timedelta:
    """Return the pause after so many attempts: ten seconds, doubling up to an hour."""
    doubled: timedelta = FIRST_PAUSE * 2 ** min(attempts, 10)
    return min(LONGEST_PAUSE, doubled)


def init_app(app: Flask) -> None:
    """Put it on the leader's schedule, where an address is set."""
    if current().usage_webhook_url:
        jobs.run_on_leader(app, EVERY_SECONDS, "usage-webhooks", _run)


def _run(now: datetime) -> None:
    collect(now)
    deliver(now)


def _deliver(row: ResultRow, now: datetime, send: Send) -> bool:
    with transaction() as session:
        if not usage_webhooks.claim(session, row, retry_at=now + pause_after(row.attempts)):
            return False
    error = _attempt(row, now, send)
    state = State.DELIVERED if error is None else State.PENDING
    if error is not None and row.attempts + 1 >= ATTEMPTS_MAX:
        state = State.DEAD
    with transaction() as session:
        usage_webhooks.finish(session, row, state, now=now, error=error)
    if error is not None:
        log.warning("usage_webhook.not_delivered", webhook=row.id, dead=state is State.DEAD, error=error)
    DELIVERIES.labels("failed" if state is State.PENDING else state.value).inc()
    return error is None


def _attempt(row: ResultRow, now: datetime, send: Send) -> str | None:
    """Return why it was not taken; None when it was. The address stays out, for it may hold a secret."""
    settings, body = current(), body_of(row)
    headers = signed_headers(settings.usage_webhook_secret, f"usage_{row.id}", body, now)
    try:
        status = send(settings.usage_webhook_url, body, headers)
    except OSError as error:
        return f"It could not be sent: {type(error).__name__}."
    return None if 200 <= status < 300 else f"It was answered with {status}."
