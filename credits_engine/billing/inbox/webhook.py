"""Stripe's webhook: 2xx once the event is committed, 4xx for what is not Stripe's, 5xx for our own faults.

Deliveries that wait for the same commit share it, so that one disk write acknowledges many.
"""

import json
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter

from control_plane.platform import clock, settings
from control_plane.platform.db.database import sync_to_disk, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem, is_transient
from credits_engine.billing import metrics
from credits_engine.billing.inbox import verification
from credits_engine.billing.store import inbox
from credits_engine.billing.store.inbox import Delivery
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.json_fields import object_at

ID = re.compile(r"[!-~]{1,255}", re.ASCII)
BATCH_MAX = 200
RUSH_SECONDS = 0.02
WAY_SECONDS = 0.1

Write = Callable[[Sequence[Delivery]], None]
BODY_BYTES_MAX = 1024 * 1024
DELIVERIES = Counter("rollout_billing_deliveries", "Deliveries by what was answered.", ["answer"])
for answer in ("stored", "bad_signature", "unusable", "not_configured"):
    DELIVERIES.labels(answer)

bp = Blueprint("stripe_webhook", __name__)


class UnusableBodyError(ValueError):
    """A signed body that is no event: nothing Stripe sends looks like it."""


def parse(body: bytes, now: datetime) -> Delivery:
    """Return the delivery of a verified body. Raises UnusableBodyError."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnusableBodyError(f"The body is no JSON: {error}.") from error
    event_id, kind = (_printable(object_at(event, name)) for name in ("id", "type"))
    if not (event_id and kind):
        raise UnusableBodyError("The body is no event: it has no id and type.")
    customer_id, object_id = events.subject(event)
    return Delivery(
        event_id=event_id,
        type=kind,
        api_version=_printable(event.get("api_version")),
        livemode=event.get("livemode") is True,
        customer_id=_printable(customer_id) or None,
        object_id=_printable(object_id) or None,
        body=body,
        received_at=now,
    )


@dataclass(slots=True, eq=False)
class _Ticket:
    delivery: Delivery
    is_done: bool = False
    error: Exception | None = None


class InboxWriter:
    """Commits deliveries in groups: whoever comes first writes for all who came meanwhile."""

    def __init__(
        self,
        write: Write,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._write = write
        self._clock = clock
        self._pause = pause
        self._rushed_until = -math.inf
        self._waiting: list[_Ticket] = []
        self._adding = threading.Lock()
        self._writing = threading.Lock()

    def store(self, delivery: Delivery) -> None:
        """Return once the delivery is committed; raise what kept it from being so."""
        ticket = _Ticket(delivery)
        with self._adding:
            self._waiting.append(ticket)
            if len(self._waiting) > 1:
                self._rushed_until = self._clock() + RUSH_SECONDS
        # Whoever holds the lock writes for all that wait. Behind it one may find its own delivery written already.
        while not ticket.is_done:
            with self._writing:
                if not ticket.is_done:
                    self._write_group()
        if ticket.error is not None:
            raise ticket.error

    def give_way(self) -> None:
        """Wait a moment while deliveries come in crowds: storing can't wait, applying can. Never for long."""
        give_up = self._clock() + WAY_SECONDS
        while self._clock() < min(self._rushed_until, give_up):
            self._pause(RUSH_SECONDS / 4)

    def _write_group(self) -> None:
        # Taken under the lock that guards adding, so no ticket is in two groups or in none.
        with self._adding:
            group, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
        try:
            self._write([ticket.delivery for ticket in group])
        except Exception as error:
            self._explain(group, error)
        finally:
            for ticket in group:
                ticket.is_done = True

    def _explain(self, group: Sequence[_Ticket], error: Exception) -> None:
        """Give each delivery the error that is its own.

        An outage concerns everybody; anything else only the delivery that caused it, so each is tried alone.
        """
        for ticket in group:
            ticket.error = error
        if is_transient(error) or len(group) == 1:
            return
        for ticket in group:
            try:
                self._write([ticket.delivery])
            except Exception as own:
                ticket.error = own
            else:
                ticket.error = None


INBOX_WRITER = AppState[InboxWriter]("billing_inbox_writer")


def write(deliveries: Sequence[Delivery]) -> None:
    """Commit a group to the inbox of the running application. Order keeps two groups from waiting in a circle."""
    with transaction() as session:
        inbox.add_delivery(session, sorted(deliveries, key=lambda each: each.event_id))
    # Stripe never sends again what we acknowledged, so a power cut must not take it back.
    sync_to_disk()


def _printable(value: object) -> str:
    return value if isinstance(value, str) and ID.fullmatch(value) else ""


@bp.post("/webhooks/stripe")
def receive() -> ResponseReturnValue:
    """Store one event. A second delivery is acknowledged and does nothing."""
    # Before the body is read: a signature can be checked only over all of it, so its size is bounded first.
    request.max_content_length = BODY_BYTES_MAX
    now = clock.now()
    secrets = settings.current().stripe_webhook_secrets
    if not secrets:
        raise _counted("not_configured", 503, "WEBHOOK_NOT_CONFIGURED", "Set STRIPE_WEBHOOK_SECRETS to receive events.")
    body = request.get_data(cache=False)
    reason = verification.refusal(body, request.headers.get("Stripe-Signature"), secrets, now)
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
    """Return the intake of the running application."""
    return INBOX_WRITER.get()


def _counted(answer: str, status: int, code: str, detail: str) -> Problem:
    DELIVERIES.labels(answer).inc()
    return Problem(status, code, detail)
