"""What a customer has paid for, counted beside a virtual Stripe while its money moves, by rules that fit on a page.

`floor` is what must be granted: paid, not given back, not traded in. `ceiling` is what may be granted: that, and what
is asked for while its payment is still to be expected: for five days after it failed, and not at all once it is void.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from credits_engine.engines.periods import Period
from tests.credits_engine.billing.charges import FAR, Charge, Credit
from tests.credits_engine.billing.stripe_objects import Json, Subscription
from tests.credits_engine.billing.virtual_collection import dispute, give_up, pause, unpause
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

PLANS = ("free", "starter", "pro", "plus")
PRICES = ("starter_monthly", "pro_monthly", "plus_monthly", "pro_yearly")


class PaidService(VirtualStripe):
    """A virtual Stripe that notes for one subscription what is asked for, paid, failed, given up and given back."""

    def __init__(self, generation: str, now: datetime) -> None:
        super().__init__(generation, now, name="p")
        self.charges: list[Charge] = []
        self.asked: list[tuple[datetime, str]] = []
        self.leaves: list[tuple[datetime, datetime]] = []
        """When it was said, and from when on the subscription is over; FAR takes it back."""
        self.disputes: list[tuple[datetime, datetime]] = []
        self.disputed: set[str] = set()
        self.has_coupon = False
        """Whether invoices are over nothing, with lines that name what a coupon takes off."""

    def floor(self, now: datetime) -> int:
        """Return the rank of the plan that has to be granted."""
        if any(start <= now < end for start, end in self.disputes):
            return 0
        paid = self._paid(now, extra_cents=2)
        return max((PLANS.index(each.plan) for each in paid), default=0)

    def ceiling(self, now: datetime) -> int:
        """Return the rank of the plan that may be granted."""
        if any(start <= now < end for start, end in self.disputes):
            return 0
        allowed = [PLANS.index(each.plan) for each in self._paid(now, extra_cents=0)]
        stays = now < self._leaves_at(now)
        given = [each for each in self.charges if each.given_for_nothing_at <= now < each.end]
        allowed += [PLANS.index(each.plan) for each in given if stays or not each.is_trial]
        plan = [plan for at, plan in self.asked if at <= now][-1]
        if stays and not self._is_refused(plan, now):
            allowed.append(PLANS.index(plan))
        return max(allowed, default=0)

    def pays_for(self, plan: str, period: Period, now: datetime, *, extra_cents: int = 0, free: bool = False) -> bool:
        """Return whether the whole period is paid for with `plan` by `now`; `free` counts what was given for free."""
        settled = [each for each in self.charges if each.paid_at <= now < each.lost_at]
        # A period with another anchor that was paid, if only for some days, ends what ran, from its own start on.
        openings = [each.start for each in self.charges if each.opens_period and each.paid_at <= now]
        found = [
            (each, min([each.paid_until(now, extra_cents=extra_cents), *(at for at in openings if at > each.start)]))
            for each in settled
        ]
        found += [(each, each.end) for each in self.charges if free and each.given_for_nothing_at <= now]
        reached = period.start
        for each, until in sorted(found, key=lambda of: of[0].start):
            # Events tell whole seconds.
            if each.plan == plan and each.start.replace(microsecond=0) <= reached:
                reached = max(reached, until)
        return reached >= period.end

    def _paid(self, now: datetime, *, extra_cents: int) -> list[Charge]:
        return [
            each
            for each in self.charges
            if each.paid_at <= now < each.lost_at and each.start <= now < each.paid_until(now, extra_cents=extra_cents)
        ]

    def _leaves_at(self, now: datetime) -> datetime:
        return next((end for at, end in reversed(self.leaves) if at <= now), FAR)

    def _is_refused(self, plan: str, now: datetime) -> bool:
        """Return whether nobody is expected to pay the last invoice for just this any more, or that of the period."""
        begun = max(each.start for each in self.charges if each.opens_period and each.start <= now)
        running = [each for each in self.charges if begun <= each.start <= now < each.end]
        of_plan = [each for each in running if each.plan == plan]
        of_period = [each for each in running if each.opens_period]
        return any(each.is_unpaid(now) for each in (*of_plan[-1:], *of_period[-1:]))

    # The hooks: each says in one line what has just happened.

    def _change(self, subscription: Subscription, kind: str = "updated", **changes: object) -> None:
        super()._change(subscription, kind, **changes)
        if "price" in changes:
            self.asked.append((self.now, subscription.price.partition("_")[0]))
        if kind == "deleted":
            self.leaves.append((self.now, self.now))
        elif kind == "updated":
            leaves_at = subscription.end if subscription.ends_with_period else subscription.cancel_at
            self.leaves.append((self.now, leaves_at or FAR))

    def _invoice(self, subscription: Subscription, reason: str, *, proration: bool, move_anchor: bool) -> Json:
        invoice = super()._invoice(subscription, reason, proration=proration, move_anchor=move_anchor)
        plan = subscription.price.partition("_")[0]
        start = self.now if proration else subscription.start
        charge = Charge(invoice["id"], plan, start, subscription.end, opens_period=not proration)
        charge.asked_cents = invoice["total"]
        if proration:
            self._credit_former(subscription, invoice, charge)
        charge.cents = invoice["total"] = 0 if self.has_coupon else invoice["total"]
        self.charges.append(charge)
        return invoice

    def _credit_former(self, subscription: Subscription, invoice: Json, charge: Charge) -> None:
        """Credit the rest of the plan before, as Stripe does whether or not anybody paid it."""
        former = self.asked[-2][1]
        of = [each for each in self.charges if each.plan == former and each.start <= self.now < each.end]
        if not of or former == charge.plan:
            return
        price = subscription.price
        subscription.price = f"{former}_{price.partition('_')[2]}"
        line = self._objects.line(subscription, start=self.now, proration=True)
        subscription.price = price
        invoice["lines"]["data"].insert(0, {**line, "amount": -line["amount"]})
        invoice["total"] -= line["amount"]
        charge.credit = Credit(charge, of, self.now.replace(microsecond=0), line["amount"])
        for each in of:
            each.credited.append(charge.credit)

    def _settle(self, subscription: Subscription, invoice: Json) -> None:
        super()._settle(subscription, invoice)
        paid = self.charge(invoice)
        paid.paid_at = self.now
        for each in self.charges:
            # A new period that is paid takes the place of whatever ran before it.
            if paid.opens_period and each.start < paid.start < each.end:
                each.traded_in_at = min(each.traded_in_at, paid.paid_at)

    def _bill(
        self, subscription: Subscription, reason: str, *, proration: bool = False, move_anchor: bool = False
    ) -> None:
        super()._bill(subscription, reason, proration=proration, move_anchor=move_anchor)
        charge = self.charges[-1]
        if subscription.pause is not None:
            if subscription.pause["behavior"] == "void":
                charge.given_up_at = self.now
            if subscription.pause["behavior"] == "mark_uncollectible":
                charge.given_for_nothing_at = self.now
        elif not subscription.card_works:
            charge.failed_at = self.now

    def charge(self, invoice: Json) -> Charge:
        """Return the charge of an invoice."""
        return next(each for each in self.charges if each.invoice == invoice["id"])


def random_money(seed: int, generation: str) -> PaidService:
    """Return a customer whose money moves in every way, for three months or until they are gone."""
    choose = random.Random(seed)
    stripe = PaidService(generation, START + timedelta(seconds=choose.randrange(86_400)))
    price = choose.choice(PRICES)
    stripe.asked.append((stripe.now, price.partition("_")[0]))
    held = _begun(choose, stripe, price)
    end = stripe.now + timedelta(days=90)
    while stripe.now < end and held.status != "canceled":
        stripe.pass_time(stripe.now + timedelta(days=choose.uniform(0.05, 9)))
        if held.status != "canceled":
            _act(choose, stripe, held)
    return stripe


def _begun(choose: random.Random, stripe: PaidService, price: str) -> Subscription:
    if choose.random() < 0.8:
        return stripe.checkout("ada", price)
    held = stripe.try_out("ada", price)
    trial = Charge("trial", price.partition("_")[0], stripe.now, held.end, opens_period=True, is_trial=True)
    trial.given_for_nothing_at = stripe.now
    stripe.charges.append(trial)
    # Stripe tells of its invoice over nothing as of one that was paid.
    line = {**stripe._objects.line(held, start=stripe.now, proration=False), "amount": 0}
    VirtualStripe._settle(stripe, held, stripe._objects.invoice(held, "subscription_create", [line]))
    return held


def _act(choose: random.Random, stripe: PaidService, held: Subscription) -> None:
    if held.open_invoice is not None and choose.random() < 0.5:
        _pay_or_give_up(choose, stripe, held)
        return
    other = choose.choice(
        [price for price in PRICES if price.endswith(held.price[-3:]) and price != held.price] or [held.price]
    )
    acts: dict[str, Callable[[], object]] = {
        "change": lambda: stripe.change_price(held, other),
        "change at the renewal": lambda: _change_at_renewal(stripe, held, other),
        "coupon": lambda: setattr(stripe, "has_coupon", not stripe.has_coupon),
        "flip": lambda: _flip(stripe, held, other),
        "new anchor": lambda: None if held.open_invoice else stripe.change_price(held, other, move_anchor=True),
        "card": lambda: setattr(held, "card_works", not held.card_works),
        "refund": lambda: _refund(stripe, held, choose.choice((0.25, 0.5, 1.0))),
        "leave": lambda: (stripe.stay if held.ends_with_period else stripe.cancel)(held),
        "leave at once": lambda: stripe.cancel(held, at_once=True),
        "leave on a day": lambda: stripe._change(held, cancel_at=stripe.now + timedelta(days=choose.uniform(1, 40))),
        "leave at the renewal": lambda: _leave_at_renewal(stripe, held),
        "pause": lambda: pause(stripe, held, choose.choice(("void", "mark_uncollectible", "keep_as_draft"))),
        "unpause": lambda: unpause(stripe, held) if held.pause else None,
        "dispute": lambda: _dispute(choose, stripe, held),
        "nothing": lambda: None,
    }
    changes = {"change", "flip", "new anchor", "refund", "dispute", "pause"}
    acts[choose.choice([name for name in acts if held.status != "trialing" or name not in changes])]()


def _pay_or_give_up(choose: random.Random, stripe: PaidService, held: Subscription) -> None:
    invoice = held.open_invoice
    assert invoice is not None
    if choose.random() < 0.6:
        stripe.pay_open_invoice(held)
    else:
        stripe.charge(invoice).given_up_at = stripe.now
        give_up(stripe, held, choose.choice(("voided", "marked_uncollectible")))


def _change_at_renewal(stripe: PaidService, held: Subscription, other: str) -> None:
    """As by a schedule: one update tells the new price and the new period."""
    if _renews(held) and held.status == "active":
        stripe.collect(held, stripe.begin_period(held, price=other) + timedelta(hours=1))


def _renews(held: Subscription) -> bool:
    return held.open_invoice is None and not held.ends_with_period and held.cancel_at is None


def _leave_at_renewal(stripe: PaidService, held: Subscription) -> None:
    """Half an hour into a period whose invoice nobody has collected yet."""
    if _renews(held):
        stripe.begin_period(held)
        stripe.now += timedelta(minutes=30)
        stripe.cancel(held, at_once=True)


def _flip(stripe: PaidService, held: Subscription, other: str) -> None:
    """To another price for a minute, without any invoice."""
    before = held.price
    stripe._change(held, price=other)
    stripe.now += timedelta(minutes=1)
    stripe._change(held, price=before)


def _refund(stripe: PaidService, held: Subscription, share: float) -> None:
    if held.last_invoice is None or held.last_invoice["total"] <= 0:
        return
    charge, cents = stripe.charge(held.last_invoice), int(held.last_invoice["amount_paid"] * share)
    if cents > max((before for _, before in charge.returned), default=0):
        stripe.refund(held, share)
        charge.returned.append((stripe.now, cents))


def _dispute(choose: random.Random, stripe: PaidService, held: Subscription) -> None:
    """Opened, and decided two days later."""
    invoice = held.last_invoice
    if invoice is None or invoice["total"] <= 0 or invoice["id"] in stripe.disputed:
        return
    stripe.disputed.add(invoice["id"])
    opened_at = stripe.now
    dispute(stripe, invoice, "needs_response", opened_at)
    stripe.pass_time(stripe.now + timedelta(days=2))
    stripe.disputes.append((opened_at, stripe.now))
    status = choose.choice(("won", "lost"))
    dispute(stripe, invoice, status, opened_at)
    if status == "lost":
        stripe.charge(invoice).lost_at = stripe.now
