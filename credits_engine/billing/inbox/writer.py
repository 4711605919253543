"""Storing what was delivered: verified, once, and committed before anybody is told that it arrived.

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

from control_plane.platform.db.database import sync_to_disk, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.problems import is_transient
from credits_engine.billing.store import inbox
from credits_engine.billing.store.inbox import Delivery
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.json_fields import object_at

ID = re.compile(r"[!-~]{1,255}", re.ASCII)
BATCH_MAX = 200
RUSH_SECONDS = 0.02
WAY_SECONDS = 0.1

Write = Callable[[Sequence[Delivery]], None]


class UnusableBodyError(ValueError):
    """A signed body that is no event: nothing Stripe sends looks like it."""


def parse(body: bytes, now: datetime) -> Delivery:
    """Return the delivery of a verified body. Raises UnusableBodyError."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnusableBodyError(f"The body is no JSON: {error}.") from error
    event_id, kind = (_word(object_at(event, name)) for name in ("id", "type"))
    if not (event_id and kind):
        raise UnusableBodyError("The body is no event: it has no id and type.")
    customer_id, object_id = events.subject(event)
    return Delivery(
        event_id=event_id,
        type=kind,
        api_version=_word(event.get("api_version")),
        livemode=event.get("livemode") is True,
        customer_id=_word(customer_id) or None,
        object_id=_word(object_id) or None,
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
        """An outage concerns everybody; anything else only the delivery that caused it, so each is tried alone."""
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


def _word(value: object) -> str:
    return value if isinstance(value, str) and ID.fullmatch(value) else ""
