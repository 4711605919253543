"""An account that runs short, a Stripe that sells it packs, and the job that buys them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing import price_administration
from credits_engine.billing.auto_top_ups import orders
from credits_engine.billing.auto_top_ups.job import AutoTopUps
from credits_engine.billing.models import TOP_UP_ORDERS
from credits_engine.billing.store import auto_top_ups as store
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

PACK = "pack_roast_100"
PRICE = f"price_{PACK}"
SOLD = f"prices: [{{price: {PRICE}, pack: {{kind: roast, amount: 100, days: 365}}}}]"
BELOW = 20
LEGACY_SERVES = FlagEvaluation(enabled=False, reason="test", revision=1)
SECOND = timedelta(seconds=1)


@dataclass
class PackBuyer:
    """Ada, who has a plan with 100 roasts of legacy's, and everybody whom her packs concern."""

    billing: Billing
    api: FakeApi
    now: datetime = START + timedelta(minutes=1)
    told: int = 0
    keys: Iterator[int] = field(default_factory=count)
    job: AutoTopUps = field(default_factory=AutoTopUps)

    def want(self, user: str = "ada", *, most: int = 3, amount_max: int | None = None) -> None:
        """Let packs be bought for an account below 20 roasts."""
        columns = {"price": PRICE, "below": BELOW, "per_period_max": most, "amount_max": amount_max}
        with transaction() as session:
            store.put(session, user, {**columns, "updated_at": self.now, "updated_by": user})

    def take(self, roast: int, user: str = "ada") -> None:
        """Consume roasts, which must be there."""
        operation = Operation(user, f"k{next(self.keys)}", Amounts(roast=roast), actor="test")
        with transaction() as session:
            assert consume(session, operation, now=self.now, evaluate=lambda _: LEGACY_SERVES).granted

    def tick(self, later: timedelta = 10 * SECOND) -> None:
        """Let some time pass, and the job run."""
        self.now += later
        self.api.stripe.now = self.now
        self.job.tick(self.now)

    def receive_events(self) -> None:
        """Let Stripe's events come in."""
        events = self.api.stripe.events[self.told :]
        self.told += len(events)
        if events:
            self.billing.process(events, at=self.now)

    def run(self, ticks: int = 4) -> None:
        """Let the job and Stripe's events go on for some time."""
        for _ in range(ticks):
            self.tick()
            self.receive_events()

    def packs(self) -> list[int]:
        """Return the sizes of the packs that were granted."""
        return [row["amount"] for row in self.billing.rows(PACKS)]

    def orders(self) -> list[tuple[str, str | None]]:
        """Return the state of every order, and why."""
        return [(row["state"], row["reason"]) for row in self.billing.rows(TOP_UP_ORDERS)]

    def wanted(self, user: str = "ada") -> Any:
        """Return the order that an account wants, or None."""
        with read_only() as session:
            row = store.find(session, user)
        return orders.wanted_of(row) if row else None


@pytest.fixture
def buyer(billing: Billing) -> Iterator[PackBuyer]:
    """An account that has not asked for any of the one pack on sale."""
    with transaction() as session:
        price_administration.apply(session, price_administration.parsed(SOLD), ChangeContext(START, "alice", "A pack."))
    price_administration.reload(START)
    stripe = VirtualStripe()
    stripe.checkout("ada", "starter_monthly")
    with fake_api.serving(stripe) as api:
        api.packs = (PACK,)
        STRIPE_GATEWAY.set(billing.app, connect(KEY, base_url=api.url))
        made = PackBuyer(billing, api)
        made.receive_events()
        yield made
