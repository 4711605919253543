"""What was paid is what can be spent, asked of the whole product over HTTP while Stripe delivers late and twice."""

import json
import random
from datetime import timedelta

import pytest

from control_plane.platform import clock
from credits_engine.engines.plans import CATALOGUE
from tests.credits_engine.billing.conftest import Billing, sign
from tests.credits_engine.billing.paid_service import PaidService, random_money
from tests.credits_engine.billing.stories import created
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.installation import Installation

LOOKS = 5
SEEDS, SEEDS_LONG = (3, 10, 13, 30), 1_000
"""Histories in which somebody pays late, is refused and is given money back."""
PLANS = [plan.name for plan in CATALOGUE]


class Product:
    """The product over HTTP: Stripe delivers to it, a service consumes, and an administrator looks on."""

    def __init__(self, billing: Billing, patch: pytest.MonkeyPatch) -> None:
        self.billing = billing
        installation = Installation(billing.app)
        installation.plan()
        self.client = billing.app.test_client()
        self.service, self.admin = (
            {"Authorization": f"Bearer {installation.token(kind)}"} for kind in ("service", "admin")
        )
        patch.setattr(clock, "now", lambda: billing.now)

    def deliver(self, event: Json) -> None:
        body = json.dumps(event).encode()
        headers = {"Stripe-Signature": sign(body, at=int(self.billing.now.timestamp()))}
        assert self.client.post("/webhooks/stripe", data=body, headers=headers).status_code == 200

    def consume(self, key: str) -> int:
        """Consume one credit; the status of the answer."""
        body = {"userId": "ada", "creditType": "analysis", "amount": 1}
        headers = {**self.service, "Idempotency-Key": key}
        return self.client.post("/api/credits/consume", json=body, headers=headers).status_code

    def rank(self, key: str) -> int:
        """Return the rank of ada's plan, as an operation has it; 0 where that is refused for a payment."""
        status = self.consume(key)
        answer = self.client.get("/api/billing/users/ada", headers=self.admin)
        found = answer.get_json()
        assert answer.status_code == 200, found
        assert status in ((403,) if found["blocked"] else (200, 402)), found
        return 0 if status == 403 else PLANS.index(found["plan"])


def check(billing: Billing, patch: pytest.MonkeyPatch, seed: int) -> None:
    """Hold one history against the oracle at some instants, each after all that Stripe had made by then has come."""
    choose = random.Random(seed)
    stripe = random_money(seed, GENERATIONS[seed % len(GENERATIONS)])
    product, start = Product(billing, patch), created(stripe.events[0])
    told: list[Json] = []
    for look in sorted(choose.random() for _ in range(LOOKS)):
        billing.now = (start + (stripe.now - start) * look).replace(microsecond=0) + timedelta(milliseconds=500)
        fresh = [event for event in stripe.events[len(told) :] if created(event) <= billing.now]
        deliveries = [*fresh, *choose.choices([*told, *fresh], k=len(fresh) // 2)]
        choose.shuffle(deliveries)
        told += fresh
        for event in deliveries:
            product.deliver(event)
            if choose.random() < 0.2:
                billing.work()
        billing.work()
        hold(stripe, billing, product.rank(f"k{look}"), seed)
    assert set(billing.states().values()) <= {"applied", "superseded", "parked"}


def hold(stripe: PaidService, billing: Billing, rank: int, seed: int) -> None:
    low, high = stripe.floor(billing.now), stripe.ceiling(billing.now)
    assert low <= rank <= high, f"seed {seed} at {billing.now}: {low} <= {rank} <= {high}"


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_paid_can_be_spent_however_it_is_delivered(
    billing: Billing, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    check(billing, monkeypatch, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS_LONG))
def test_what_was_paid_can_be_spent_in_a_thousand_histories(
    billing: Billing, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    check(billing, monkeypatch, seed)
