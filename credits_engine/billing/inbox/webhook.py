"""Stripe's webhook: 2xx once the event is committed, 4xx for what is not Stripe's, 5xx for our own faults."""

from datetime import UTC, datetime

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter

from control_plane.platform import settings
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem
from credits_engine.billing import metrics
from credits_engine.billing.inbox import signature
from credits_engine.billing.inbox.writer import INBOX_WRITER, InboxWriter, UnusableBodyError, parse

BODY_BYTES_MAX = 1024 * 1024
DELIVERIES = Counter("rollout_billing_deliveries", "Deliveries by what was answered.", ["answer"])
for answer in ("stored", "bad_signature", "unusable", "not_configured"):
    DELIVERIES.labels(answer)

bp = Blueprint("stripe_webhook", __name__)


@bp.post("/webhooks/stripe")
def receive() -> ResponseReturnValue:
    """Store one event. A second delivery is acknowledged and does nothing."""
    request.max_content_length = BODY_BYTES_MAX
    now = datetime.now(UTC)
    secrets = settings.current().stripe_webhook_secrets
    if not secrets:
        raise _counted("not_configured", 503, "WEBHOOK_NOT_CONFIGURED", "Set STRIPE_WEBHOOK_SECRETS to receive events.")
    body = request.get_data(cache=False)
    reason = signature.refusal(body, request.headers.get("Stripe-Signature"), secrets, now)
    metrics.report_signature(refused=reason is not None)
    if reason:
        raise _counted("bad_signature", 400, "INVALID_SIGNATURE", reason)
    request_outcomes.prove("stripe")
    try:
        delivery = parse(body, now)
    except UnusableBodyError as error:
        raise _counted("unusable", 400, "UNUSABLE_EVENT", str(error)) from error
    intake().store(delivery)
    DELIVERIES.labels("stored").inc()
    return jsonify(received=True)


def intake() -> InboxWriter:
    """The intake of the running application."""
    return INBOX_WRITER.get()


def _counted(answer: str, status: int, code: str, detail: str) -> Problem:
    DELIVERIES.labels(answer).inc()
    return Problem(status, code, detail)
