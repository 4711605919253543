"""Which plan the prices of a subscription buy."""

from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.facts import Item, Snapshot, Status
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import Period
from credits_engine.engines.plans import Catalogue, UnknownPlanError, UnknownPriceError

FREE = "free"


class UnmappedPriceError(UnknownPriceError):
    """A subscription buys nothing that the catalogue knows; `price` is what to add to it."""

    def __init__(self, price: str, sentence: str) -> None:
        super().__init__(sentence)
        self.price = price


NOT_IN_CATALOGUE = (UnmappedPriceError, UnknownPlanError)
"""Raised about a user whose price or plan has left the catalogue; nothing of theirs may change until it is back."""


class PlanWithoutPriceError(ValueError):
    """A plan that is for sale has no price that leads to it, or a price leads elsewhere; the message lists them."""


def check_prices(catalogue: Catalogue) -> None:
    """Raise PlanWithoutPriceError unless every built-in plan can be bought and every price of it leads back to it.

    What buys a plan that is data is data too, and may come later.
    """
    plans = catalogue.built_in
    mistakes = [f"Plan {plan.name!r} has no price that buys it." for plan in plans if not plan.price_keys]
    mistakes += [
        f"Price {key!r} of plan {plan.name!r} buys something else."
        for plan in plans
        for key in plan.price_keys
        if (found := _find(key, catalogue)) is None or found.name != plan.name
    ]
    if mistakes:
        raise PlanWithoutPriceError(" ".join(mistakes))


def plan_of(snapshot: Snapshot, catalogue: Catalogue) -> CreditPlan:
    """Return the highest plan that its items buy. Raises UnmappedPriceError when none of them is in the catalogue.

    During a trial it is the plan that the catalogue calls `<plan>_trial`, where there is one.
    """
    mapped = [(item, plan) for item in snapshot.items if (plan := bought(item, catalogue))]
    known = [plan for item, plan in mapped if item.quantity]
    if mapped and not known:
        return catalogue.plan(FREE)
    if not known:
        names = [_name(item) for item in snapshot.items] or [f"no price ({snapshot.subscription_id})"]
        sentence = f"Subscription {snapshot.subscription_id} is for {', '.join(names)}, which buys no plan we know."
        raise UnmappedPriceError(names[0], f"{sentence} Add the price to a plan of the catalogue.")
    plan = highest(known, catalogue)
    return _trial(plan, catalogue) if snapshot.status is Status.TRIALING else plan


def find_plan(snapshot: Snapshot, catalogue: Catalogue) -> CreditPlan | None:
    """Return the plan of a state that is over; None where none of its prices is in the catalogue."""
    try:
        return plan_of(snapshot, catalogue)
    except UnmappedPriceError:
        return None


def bought(item: Item, catalogue: Catalogue) -> CreditPlan | None:
    """Return the plan that one item buys; None where it is none of the catalogue's."""
    # A lookup key moves on to the price's successor; whoever bought before goes on with the price that lost it.
    names = (item.lookup_key, item.price_id, *item.former_keys)
    found = next((plan for name in names if name and (plan := _find(name, catalogue))), None)
    return found and found.with_seats(item.quantity)


def highest(plans: list[CreditPlan], catalogue: Catalogue) -> CreditPlan:
    """Return the one that stands highest in the catalogue."""
    return max(plans, key=lambda plan: rank(plan, catalogue))


def rank(plan: CreditPlan | None, catalogue: Catalogue) -> tuple[int, int]:
    """Return the place of a plan in the catalogue; that of none is below all."""
    return (-1, 0) if plan is None else catalogue.place(plan)


def is_mapped(price: str, catalogue: Catalogue) -> bool:
    """Return whether a price, by lookup key or id, buys a plan or a pack."""
    return _find(price, catalogue) is not None or find_offer(price) is not None


def service_period(snapshot: Snapshot, catalogue: Catalogue) -> Period | None:
    """Return the period of the item that decides the plan: items of one subscription may be in different ones."""
    dated = [(rank(bought(item, catalogue), catalogue), item.period) for item in snapshot.items if item.period]
    return max(dated)[1] if dated else None


def _find(price: str, catalogue: Catalogue) -> CreditPlan | None:
    try:
        return catalogue.plan_for_price(price)
    except UnknownPriceError:
        return None


def _trial(plan: CreditPlan, catalogue: Catalogue) -> CreditPlan:
    try:
        return catalogue.plan(f"{plan.base_name}_trial")
    except UnknownPlanError:
        return plan


def _name(item: Item) -> str:
    return item.lookup_key or item.price_id
