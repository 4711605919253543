"""Billing of the real application, which a virtual Stripe sends its events to."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import stripe
import structlog
from flask import Flask
from sqlalchemy import Table, select
from werkzeug.test import TestResponse

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import Settings
from credits_engine.billing.inbox import webhook
from credits_engine.billing.inbox.worker import Lookup, Worker, without_lookup
from credits_engine.billing.models import ACCOUNTS, CUSTOMERS, EVENTS, FACTS, OPENINGS
from credits_engine.billing.store import inbox
from credits_engine.engines.amounts import Amounts
from credits_engine.operations import account_books
from credits_engine.store import accounts
from credits_engine.store.tables import COUNTERS, JOURNAL, USERS
from tests.credits_engine.billing.stripe_objects import Json

SECRET = "whsec_of_the_tests"
OLD_SECRET = "whsec_before_the_rotation"


@dataclass
class Billing:
    """Billing of an application: events come into its inbox and are processed at a time of the test's choosing."""

    app: Flask
    now: datetime

    def deliver(self, *events: Json) -> None:
        """Put events into the inbox without the way over HTTP."""
        with transaction() as session:
            inbox.add_delivery(session, [webhook.parse(json.dumps(event).encode(), self.now) for event in events])

    def post(self, event: Json | bytes, *, header: str | None = None, secret: str = SECRET) -> TestResponse:
        """Deliver as Stripe does, signed at the present second."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        signed = header if header is not None else sign(body, secret)
        headers = {"Stripe-Signature": signed} if signed else {}
        return self.app.test_client().post("/webhooks/stripe", data=body, headers=headers)

    def work(self, *, at: datetime | None = None, doubts: Lookup = without_lookup, name: str = "worker") -> int:
        """Work off everything that is due."""
        self.now = at or self.now
        return Worker(name, lambda: self.now, doubts, chance=lambda: 0.5).work()

    def process(self, events: Iterable[Json], *, at: datetime) -> None:
        """Deliver events and process them."""
        self.now = at
        self.deliver(*events)
        self.work()

    def states(self) -> dict[str, str]:
        """Return the state of each event."""
        return {row["event_id"]: row["state"] for row in self.rows(EVENTS)}

    def event(self, event_id: str) -> dict[str, Any]:
        """Return one event as the inbox has it."""
        return next(row for row in self.rows(EVENTS) if row["event_id"] == event_id)

    def rows(self, table: Table, **where: object) -> list[dict[str, Any]]:
        """Return every row of a table, in the order of its key."""
        query = select(table).filter_by(**where).order_by(*table.primary_key)
        with read_only() as session:
            return [dict(row) for row in session.execute(query).mappings()]

    def periods(self, user_id: str) -> list[tuple[datetime, datetime, str]]:
        """Return a user's periods in v2's counters."""
        rows = self.rows(COUNTERS, user_id=user_id)
        return [(row["period_start"], row["period_end"], row["plan"]) for row in rows]

    def user(self, user_id: str) -> tuple[str, datetime | None]:
        """Plan and anchor as the directory has them."""
        (row,) = self.rows(USERS, user_id=user_id)
        return row["plan"], row["billing_anchor"]

    def journal(self, user_id: str) -> list[dict[str, Any]]:
        """Return every journal row of a user."""
        return self.rows(JOURNAL, user_id=user_id)

    def account(self, user_id: str) -> dict[str, Any]:
        """Return billing's row of a user."""
        (row,) = self.rows(ACCOUNTS, user_id=user_id)
        return row

    def used(self, user_id: str) -> Amounts:
        """Return the credits that v2 counts for a user in the running period."""
        with read_only() as session:
            found = accounts.find(session, user_id)
            assert found is not None
            return account_books.read_books(session, found[0], self.now).v2.used

    def final_state(self) -> dict[str, Any]:
        """Return everything that billing decides, without what depends on who delivered when."""
        personal = ("updated_at", "linked_at", "linked_by", "event_id", "opened_at", "signed_up_at")
        return {
            table.name: [{k: v for k, v in row.items() if k not in personal} for row in self.rows(table)]
            for table in (USERS, ACCOUNTS, CUSTOMERS, COUNTERS, OPENINGS, FACTS)
        }


def sign(body: bytes, secret: str = SECRET, at: int | None = None) -> str:
    """Return the header with which Stripe would send this body."""
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with two secrets, as while one is being replaced."""
    return replace(settings, stripe_webhook_secrets=(OLD_SECRET, SECRET), sqlite_synchronous="NORMAL")


@pytest.fixture
def billing(app: Flask, now: datetime) -> Iterator[Billing]:
    """The billing of an application whose context is open for the test."""
    with app.app_context():
        yield Billing(app, now)


@pytest.fixture
def clock() -> Callable[[datetime, float], datetime]:
    """A moment so many seconds later."""
    return lambda moment, seconds: moment + timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of log lines tell nothing in a test."""
    with structlog.testing.capture_logs():
        yield
