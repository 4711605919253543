"""A payment of two accounts that become one is disputed: it freezes, comes back and is lost as it would have been."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS
from credits_engine.engines.amounts import Amounts
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stripe_objects import Json, Subscription
from tests.credits_engine.billing.two_accounts import DAY, PRO, STARTER, merge, spendable
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_sales import dispute_sale, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

PACK = Amounts(100)


@dataclass
class Disputed:
    """Ada pays for pro, old ada for starter and a pack."""

    billing: Billing
    stripe: VirtualStripe = field(default_factory=VirtualStripe)
    held: dict[str, Subscription] = field(default_factory=dict)
    pack: Json = field(default_factory=dict)

    def begin(self) -> None:
        self.held["ada"] = self.stripe.checkout("ada", "pro_monthly")
        self.held["old"] = self.stripe.checkout("old", "starter_monthly")
        self.pack = sell(self.stripe, None, "pack_analysis_100", customer="cus_old")
        self.process()

    def process(self) -> None:
        self.billing.process(self.stripe.events, at=self.stripe.now)

    def tell(self, payment: str, status: str) -> None:
        """Tell of the dispute of a subscription's payment, or of the pack's, a day later."""
        self.stripe.pass_time(self.stripe.now + DAY)
        if payment == "pack":
            dispute_sale(self.stripe, self.pack, status, START)
        else:
            invoice = self.held[payment].last_invoice
            assert invoice
            dispute(self.stripe, invoice, status, START)
        self.process()


@pytest.fixture
def disputed(billing: Billing) -> Disputed:
    found = Disputed(billing)
    found.begin()
    return found


@pytest.mark.parametrize("payment", ["ada", "old"])
@pytest.mark.parametrize(("source", "into"), [("ada", "old"), ("old", "ada")])
def test_nobody_is_merged_while_a_dispute_freezes_a_subscription(
    billing: Billing, disputed: Disputed, payment: str, source: str, into: str
) -> None:
    """A merge would let that be spent which is frozen, twice even, or lose it where the dispute is won."""
    disputed.tell(payment, "needs_response")
    before = billing.final_state()
    with pytest.raises(Problem) as refused:
        merge(billing, source, into)
    assert (refused.value.status, refused.value.code) == (409, "PAYMENT_DISPUTED")
    assert f"A payment of {payment!r} is disputed" in refused.value.detail
    assert billing.final_state() == before
    disputed.tell(payment, "won")
    merge(billing, source, into)
    assert spendable(billing, into) == PRO + STARTER + PACK


def test_a_dispute_that_freezes_nothing_is_no_reason(billing: Billing, disputed: Disputed) -> None:
    SETTINGS.set(billing.app, replace(SETTINGS.get(), stripe_disputes="keep"))
    disputed.tell("ada", "needs_response")
    merge(billing, "ada", "old")
    assert spendable(billing, "old") == PRO + STARTER + PACK
    disputed.tell("ada", "lost")
    assert spendable(billing, "old") == STARTER + PACK


FROZEN = {"ada": STARTER + PACK, "old": PRO + STARTER + PACK, "pack": PRO + STARTER}
LOST = {**FROZEN, "old": PRO + PACK}
"""What rolled over, as what is left of old ada's plan does, is taken back once a dispute is lost, and not before."""


@pytest.mark.parametrize("payment", FROZEN)
@pytest.mark.parametrize(("source", "into"), [("ada", "old"), ("old", "ada")])
def test_a_payment_is_disputed_after_the_merge(
    billing: Billing, disputed: Disputed, payment: str, source: str, into: str
) -> None:
    merge(billing, source, into)
    disputed.tell(payment, "needs_response")
    assert spendable(billing, into) == FROZEN[payment]
    disputed.tell(payment, "won")
    assert spendable(billing, into) == PRO + STARTER + PACK


@pytest.mark.parametrize("payment", LOST)
def test_a_payment_is_lost_after_the_merge(billing: Billing, disputed: Disputed, payment: str) -> None:
    merge(billing, "ada", "old")
    disputed.tell(payment, "needs_response")
    disputed.tell(payment, "lost")
    assert spendable(billing, "old") == LOST[payment]


@pytest.mark.parametrize("status", ["needs_response", "lost", "won"])
def test_of_two_subscriptions_the_one_that_is_not_disputed_counts(billing: Billing, status: str) -> None:
    """Its limits count at once: those of the disputed one are what its payment bought."""
    disputed = Disputed(billing)
    for price in ("starter_monthly", "pro_monthly"):
        disputed.held["ada"] = disputed.stripe.checkout("ada", price)
    disputed.process()
    disputed.tell("ada", "needs_response")
    disputed.tell("ada", status)
    assert spendable(billing, "ada") == (PRO if status == "won" else STARTER)


def test_of_two_subscriptions_the_one_that_nobody_pays_for_counts_until_its_grace_is_over(billing: Billing) -> None:
    stripe = VirtualStripe()
    starter = stripe.checkout("ada", "starter_monthly")
    stripe.pass_time(START + DAY)
    pro = stripe.checkout("ada", "pro_monthly")
    stripe.pass_time(starter.end + timedelta(hours=2))
    billing.process(stripe.events, at=stripe.now)
    pro.card_works = False
    stripe.pass_time(pro.end + timedelta(days=1))
    billing.process(stripe.events, at=stripe.now)
    assert spendable(billing, "ada") == PRO
    stripe.pass_time(pro.end + timedelta(days=1))
    billing.process(stripe.events, at=stripe.now + timedelta(days=5))
    assert billing.user("ada")[0] == "starter"
    assert spendable(billing, "ada") == STARTER
