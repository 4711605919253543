"""Somebody who is everywhere in the database, and a search of all of it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import db, read_only, transaction
from credits_engine.administration import corrections
from credits_engine.administration.corrections import Adjustment
from credits_engine.engines.amounts import Amounts
from credits_engine.erasure import service
from credits_engine.erasure.service import Erased
from credits_engine.operations.consumption import FlagEvaluation, Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import totals
from flags.administration.users import UserChange, import_users
from flags.store import Effect, put_override
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_sales import sell
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.installation import Installation

NOW = datetime.now(UTC)
PERSON, OTHER = "ada.lovelace", "ada.lovelace2"
EMAIL = "countess@example.org"
V2_SERVES = FlagEvaluation(enabled=True, reason="test", revision=1)

Erase = Callable[..., Erased]


def change(reason: str = "Asked by letter.", now: datetime = NOW) -> ChangeContext:
    return ChangeContext(now, "alice", reason)


def take(user_id: str, key: str, now: datetime = NOW, **amounts: int) -> None:
    run_operation(Operation(user_id, key, Amounts(**amounts), "test"), now=now)


def fill(app: Flask, user_id: str = PERSON, name: str = "a") -> VirtualStripe:
    """Let somebody sign up, subscribe, buy, consume, be corrected, be let in, and leave."""
    email = EMAIL if user_id == PERSON else "other@example.org"
    installation = Installation(app)
    installation.watch()
    since = NOW - timedelta(days=40)
    with transaction() as session:
        attributes = {"plan": "free", "signed_up_at": since, "beta": True}
        import_users(session, [UserChange(user_id, attributes)], actor="test", now=since)
        put_override(session, FLAG, user_id, Effect.ALLOW, change("A friend of the house."))
        audit.record(session, change(f"{email} wrote."), action="credits.note", subject=f"user:{user_id}")
        audit.record(session, change(f"Let {user_id} in."), action="override.allow", subject=f"flag:{FLAG}")
    stripe = VirtualStripe(now=since, name=name)
    billing = Billing(app, since)
    subscription = stripe.checkout(user_id, "pro_monthly", customer=f"cus_{name}")
    sell(stripe, user_id, "pack_roast_100", customer=f"cus_{name}")
    told = {
        **stripe.events[0],
        "id": f"evt_dead_{name}",
        "data": {"object": {"id": "sub_9", "email": email, "name": user_id}},
    }
    billing.process([*stripe.events, told], at=since)
    take(user_id, f"order-of-{user_id}", now=since + timedelta(days=1), analysis=3)
    with transaction() as session:
        give = Adjustment(user_id, Amounts(analysis=1))
        corrections.adjust(
            session, give, change(f"{email} complained.", since + timedelta(days=2)), evaluate=lambda _: V2_SERVES
        )
    totals.advance()
    cancelled = len(stripe.events)
    stripe.now = since + timedelta(days=3)
    stripe.cancel(subscription, at_once=True)
    billing.process(stripe.events[cancelled:], at=since + timedelta(days=3))
    take(user_id, "k2", roast=2)
    return stripe


def found(*names: str) -> list[str]:
    """Return each place in the whole database in which one of these is named."""
    places = []
    with read_only() as session:
        for table in db.metadata.sorted_tables:
            for row in session.execute(select(table)).mappings():
                places += [f"{table.name}.{key}: {value}" for key, value in row.items() if _names(value, names)]
    return sorted(places)


def _names(value: Any, names: tuple[str, ...]) -> bool:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return any(name in text for name in names)


@pytest.fixture
def filled(app: Flask) -> Any:
    """An installation with somebody in it; gives their Stripe."""
    with app.app_context():
        yield fill(app)


@pytest.fixture
def erase(filled: VirtualStripe) -> Erase:
    return lambda user_id=PERSON, **options: service.erase(user_id, change(), also=[EMAIL], **options)
