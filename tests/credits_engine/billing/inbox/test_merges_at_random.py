"""Random lives of one person with three accounts: no merge loses or grants what was paid for, and books stay equal."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS
from credits_engine.administration import top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.billing.entitlements import purchases
from credits_engine.billing.entitlements.given_back import DisputePolicy
from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.billing.entitlements.sync import open_running, sync_user
from credits_engine.billing.entitlements.sync_run import CLOCK
from credits_engine.engines.amounts import KINDS, Amounts, Kind
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.guard_counts import tripped
from tests.credits_engine.billing.stripe_objects import Json, Subscription
from tests.credits_engine.billing.two_accounts import merge, paid_for, spendable, take
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_sales import dispute_sale, give_back, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.rolling import rolling
from tests.faults.ledger import assert_whole

USERS = ("ada", "old", "new")
PRICES = ("starter_monthly", "pro_monthly", "pro_yearly")
STEPS = 14
SEEDS, SEEDS_LONG = 6, 2_000


@dataclass(frozen=True)
class OpenDispute:
    """A dispute that is not decided yet: its payment, when it was opened, and how its next state is told."""

    payment: Json
    opened_at: datetime
    tell: Callable[[VirtualStripe, Json, str, datetime], None]


@dataclass
class Life:
    """What a person does with three accounts, told as it happens."""

    billing: Billing
    choose: random.Random
    stripe: VirtualStripe = field(default_factory=VirtualStripe)
    held: dict[str, Subscription] = field(default_factory=dict)
    """The subscription that each customer has."""
    sales: list[Json] = field(default_factory=list)
    disputes: list[OpenDispute] = field(default_factory=list)
    disputed: set[str] = field(default_factory=set)
    """The payments that were disputed; each is once."""
    told: int = 0
    keys: Iterator[int] = field(default_factory=count)

    def step(self) -> None:
        """Let some time pass and one thing happen, and hold every merge to what it may do."""
        self.stripe.pass_time(self.stripe.now + timedelta(days=self.choose.uniform(0.01, 8)))
        self.process()
        user_id = self.choose.choice(USERS)
        acts: list[Callable[[str], object]] = [
            *(self.use, self.use, self.subscribe, self.subscribe, self.change, self.leave),
            *(self.buy, self.return_money, self.give, self.sweep, self.merge, self.merge, self.merge),
            *(self.dispute, self.dispute, self.dispute_sale, self.decide, self.win),
        ]
        self.choose.choice(acts)(user_id)
        self.process()

    def process(self) -> None:
        fresh, self.told = self.stripe.events[self.told :], len(self.stripe.events)
        self.billing.now = self.stripe.now
        if fresh:
            self.billing.process(fresh, at=self.stripe.now)

    def use(self, user_id: str) -> None:
        left = spendable(self.billing, user_id)
        amount = self.choose.choice((left["analysis"] // 3, left["analysis"], 7))
        take(self.billing, user_id, f"k{next(self.keys)}", amount, self.choose.choice((0, left["roast"] // 2)))

    def subscribe(self, user_id: str) -> None:
        if user_id not in self.held:
            self.held[user_id] = self.stripe.checkout(user_id, self.choose.choice(PRICES))

    def change(self, user_id: str) -> None:
        held = self.held.get(user_id)
        if held and held.price != "pro_yearly":
            self.stripe.change_price(held, self.choose.choice(PRICES[:2]))

    def leave(self, user_id: str) -> None:
        if held := self.held.pop(user_id, None):
            if self.choose.random() < 0.5:
                self.stripe.refund(held, self.choose.choice((0.3, 1.0)))
            self.stripe.cancel(held, at_once=True)

    def buy(self, user_id: str) -> None:
        self.sales.append(sell(self.stripe, None, "pack_analysis_100", customer=f"cus_{user_id}"))

    def return_money(self, _user_id: str) -> None:
        if self.sales:
            give_back(self.stripe, self.choose.choice(self.sales), self.choose.choice((500, 1_000)))

    def dispute(self, _user_id: str) -> None:
        paid = [held.last_invoice for held in self.held.values() if held.last_invoice]
        if paid:
            self.open_dispute(self.choose.choice(paid), dispute)

    def dispute_sale(self, _user_id: str) -> None:
        if self.sales:
            self.open_dispute(self.choose.choice(self.sales), dispute_sale)

    def open_dispute(self, payment: Json, tell: Callable[[VirtualStripe, Json, str, datetime], None]) -> None:
        if payment["id"] not in self.disputed:
            self.disputed.add(payment["id"])
            self.disputes.append(OpenDispute(payment, self.stripe.now, tell))
            tell(self.stripe, payment, "needs_response", self.stripe.now)

    def win(self, _user_id: str) -> None:
        """Let a dispute be opened and won: everybody has again what they had."""
        before, number = self.all_spendable(), len(self.disputes)
        self.choose.choice((self.dispute, self.dispute_sale))(self.choose.choice(USERS))
        if len(self.disputes) > number:
            self.process()
            opened = self.disputes.pop()
            self.stripe.now += timedelta(hours=1)
            opened.tell(self.stripe, opened.payment, "won", opened.opened_at)
            self.process()
            assert self.all_spendable() == before

    def all_spendable(self) -> dict[str, Amounts]:
        self.settle(*USERS)
        return {user_id: spendable(self.billing, user_id) for user_id in USERS}

    def decide(self, _user_id: str) -> None:
        if self.disputes:
            decided = self.disputes.pop(self.choose.randrange(len(self.disputes)))
            decided.tell(self.stripe, decided.payment, self.choose.choice(("won", "lost")), decided.opened_at)

    def give(self, user_id: str) -> None:
        until = self.stripe.now + timedelta(days=self.choose.uniform(1, 60))
        with transaction() as session:
            purchase = Purchase(user_id, Kind("analysis"), 25, until)
            top_ups.top_up(session, purchase, ChangeContext(self.stripe.now, "alice", "Sorry."))

    def sweep(self, _user_id: str) -> None:
        PeriodSweep().tick(self.stripe.now)

    def merge(self, user_id: str) -> None:
        into = self.choose.choice([each for each in USERS if each != user_id])
        self.settle(user_id, into)
        before = {name: paid_for(self.billing, name) for name in (user_id, into)}
        had = spendable(self.billing, user_id) + spendable(self.billing, into)
        try:
            merge(self.billing, user_id, into)
        except Problem as problem:
            # A merge may also be made.
            assert problem.code in {"NO_BILLING", "MERGED_ALREADY", "PAYMENT_DISPUTED"}  # noqa: PT017
            return
        after, left = spendable(self.billing, into), paid_for(self.billing, user_id)
        wanted = before[user_id] + before[into]
        for kind in KINDS:
            assert wanted[kind] <= after[kind] <= had[kind], f"{kind}: {before} became {after}"
            assert left[kind] == 0
        self.settle(user_id, into, cause="evt_late")
        assert spendable(self.billing, into) == after, "nothing is left to be settled"

    def settle(self, *user_ids: str, cause: str = CLOCK) -> None:
        """Bring accounts up to the clock, as their next operation would."""
        with transaction() as session:
            for user_id in user_ids:
                sync_user(session, user_id, now=self.stripe.now, cause=cause)
                purchases.sync_packs(session, user_id, now=self.stripe.now, cause=cause)
                open_running(session, [user_id], self.stripe.now)


def live(billing: Billing, seed: int) -> None:
    """Live one life to its end."""
    life = Life(billing, random.Random(seed))
    disputes = DisputePolicy.KEEP if seed % 2 else DisputePolicy.FREEZE
    SETTINGS.set(billing.app, replace(SETTINGS.get(), stripe_disputes=disputes))
    billing.now = START
    for user_id in USERS:
        Consumer(billing.app).user(user_id)
        life.stripe._send(
            "customer.created", {"id": f"cus_{user_id}", "object": "customer", "metadata": {"user_id": user_id}}
        )
    life.process()
    with rolling("pro", START), rolling("starter", START):
        for _ in range(STEPS):
            life.step()
    assert_whole(billing.app)
    assert not tripped(billing, "billing_reset_twice")
    assert set(billing.states().values()) <= {"applied", "superseded", "ignored"}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_merge_loses_or_grants_what_was_paid_for(billing: Billing, seed: int) -> None:
    live(billing, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS_LONG))
def test_no_merge_loses_or_grants_in_thousands_of_lives(billing: Billing, seed: int) -> None:
    live(billing, seed)
