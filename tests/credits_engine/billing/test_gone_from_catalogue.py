"""A price or a plan that has left the catalogue: whoever meets it says so, and it holds up nobody else."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import delete, update

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import cli_support
from credits_engine.billing import price_administration
from credits_engine.billing.cli import billing_group
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.entitlements.price_list import PRICE_LIST, PriceList, catalogue
from credits_engine.billing.models import CUSTOMERS, FACTS, PRICES
from credits_engine.billing.reconciliation.comparison import DiscrepancyKind, reconcile
from credits_engine.billing.stripe_api.client import connect
from credits_engine.engines.plans import CATALOGUE
from credits_engine.store.tables import COUNTERS, USERS
from tests import people
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY
from tests.credits_engine.billing.two_accounts import DAY, take, two_accounts
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.rolling import rolling

QUARTERLY = "prices: [{price: pro_quarterly, plan: pro}]"
NEXT = START.replace(month=12)


@pytest.fixture
def without_plus() -> Iterator[None]:
    """A release that takes the plan plus out."""
    before = dict(vars(CATALOGUE))
    yield
    vars(CATALOGUE).update(before)


def take_out_plus() -> None:
    CATALOGUE.replace_plans(tuple(plan for plan in CATALOGUE if plan.name != "plus"))


def sell_quarterly(billing: Billing) -> None:
    with transaction() as session:
        price_administration.apply(
            session, price_administration.parsed(QUARTERLY), ChangeContext(billing.now, "alice", "A new offer.")
        )
    price_administration.reload(billing.now)


def stop_selling(billing: Billing) -> None:
    with transaction() as session:
        session.execute(delete(PRICES))
    PRICE_LIST.set(billing.app, PriceList())


@pytest.fixture
def left(billing: Billing) -> str:
    """Old ada bought starter, and ada something that is in the catalogue no more; returns its name."""
    billing.now = START
    sell_quarterly(billing)
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_quarterly")
    stripe.checkout("old", "starter_monthly")
    billing.process(stripe.events, at=START)
    stop_selling(billing)
    return "pro_quarterly, which buys no plan we know. Add the price to a plan of the catalogue."


@pytest.mark.parametrize(("source", "into"), [("ada", "old"), ("old", "ada")])
def test_a_merge_is_refused_with_the_price_that_the_catalogue_lacks(
    billing: Billing, left: str, source: str, into: str
) -> None:
    people.invite(billing.app, billing.now)
    before = billing.final_state()
    body = {"into": into, "reason": "One person."}
    answer = people.signed_in(billing.app, "alice").post(f"/api/billing/users/{source}/merge", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "NOT_IN_CATALOGUE")
    assert answer.get_json()["detail"].endswith(left)
    assert billing.final_state() == before


def test_the_command_says_so_as_well(billing: Billing, left: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_support, "application", lambda **_: billing.app)
    result = CliRunner().invoke(billing_group, ["merge", "ada", "old", "--reason", "One person."])
    assert (result.exit_code, left in result.output) == (1, True)


def test_a_merge_is_refused_with_the_plan_that_the_catalogue_lacks(billing: Billing, without_plus: None) -> None:
    """Without what they bought, ada would have the plan again that somebody had given her."""
    Consumer(billing.app).user("ada", "plus")
    two_accounts(billing)
    take_out_plus()
    people.invite(billing.app, billing.now)
    before = billing.final_state()
    body = {"into": "old", "reason": "One person."}
    answer = people.signed_in(billing.app, "alice").post("/api/billing/users/ada/merge", json=body)
    assert (answer.status_code, answer.get_json().get("code")) == (409, "NOT_IN_CATALOGUE")
    assert "Plan 'plus' is not in the catalogue" in answer.get_json()["detail"]
    assert billing.final_state() == before


def test_the_sweep_goes_on_with_the_others(billing: Billing, without_plus: None) -> None:
    """Put off what is due of somebody whose plan is gone: it is no reason to leave everybody else as they were."""
    Consumer(billing.app).user("ada", "plus")
    two_accounts(billing)
    take_out_plus()
    with transaction() as session:
        session.execute(
            delete(FACTS).where(FACTS.c.customer_id == billing.rows(CUSTOMERS, user_id="ada")[0]["customer_id"])
        )
    later = NEXT + DAY
    assert period_sweep.sync_due(later) == 2
    assert billing.account("old")["due_at"] > later
    assert billing.account("ada")["due_at"] == later + period_sweep.POSTPONE
    assert period_sweep.sync_due(later) == 0


def test_what_rolls_over_from_a_price_that_is_gone_holds_up_nobody_else(billing: Billing) -> None:
    """A price that is gone pays for nothing until it is back."""
    billing.now = START
    sell_quarterly(billing)
    stripe = VirtualStripe()
    for user_id, price in (("ada", "pro_monthly"), ("old", "pro_monthly")):
        stripe.checkout(user_id, price)
    stripe.open("cus_ada", "pro_quarterly", metadata={"user_id": "ada"})
    billing.process(stripe.events, at=START)
    with rolling("pro", START):
        take(billing, "ada", "k1", 9_990)
        take(billing, "old", "k2", 9_990)
        stop_selling(billing)
        period_sweep.PeriodSweep().tick(NEXT + timedelta(hours=1))
        assert [start for start, _, _ in billing.periods("old")] == [START, NEXT]
        assert [start for start, _, _ in billing.periods("ada")] == [START, NEXT]


def test_a_stored_price_whose_plan_is_gone_buys_nothing(billing: Billing, without_plus: None) -> None:
    billing.now = START
    with transaction() as session:
        document = price_administration.parsed(
            "prices: [{price: plus_quarterly, plan: plus}, {price: pro_quarterly, plan: pro}]"
        )
        price_administration.apply(session, document, ChangeContext(START, "alice", "New offers."))
    take_out_plus()
    price_administration.reload(START)
    assert catalogue().has_price("pro_quarterly")
    assert not catalogue().has_price("plus_quarterly")
    stripe = VirtualStripe()
    stripe.checkout("ada", "plus_quarterly")
    billing.process(stripe.events, at=START)
    assert "parked" in billing.states().values()


@pytest.mark.parametrize("is_sold_first", [True, False])
@pytest.mark.parametrize("move_anchor", [True, False])
def test_a_former_price_keeps_nobody_from_what_they_changed_to(
    billing: Billing, is_sold_first: bool, move_anchor: bool
) -> None:
    """The state at a price that buys no plan, or none any more, is over."""
    billing.now = START
    if is_sold_first:
        sell_quarterly(billing)
    stripe = VirtualStripe()
    subscription = stripe.checkout("ada", "pro_quarterly")
    billing.process(stripe.events, at=START)
    stop_selling(billing)
    stripe.now, told = START + DAY, len(stripe.events)
    stripe.change_price(subscription, "plus_monthly", move_anchor=move_anchor)
    billing.process(stripe.events[told:], at=stripe.now)
    assert billing.user("ada")[0] == "plus"
    assert {billing.states()[each["id"]] for each in stripe.events[told:]} == {"applied"}


@pytest.fixture
def had_gold(billing: Billing) -> None:
    """Somebody gave ada a plan of which she used five credits, and which is in the catalogue no more."""
    Consumer(billing.app).user("ada", "pro")
    billing.now = START - 3 * DAY
    take(billing, "ada", "k1", 5)
    with transaction() as session:
        session.execute(update(USERS).values(plan="gold"))
        session.execute(update(COUNTERS).values(plan="gold"))


def test_what_is_paid_is_granted_to_whose_former_plan_is_gone(billing: Billing, had_gold: None) -> None:
    """The period that ends keeps the limits that it had: nothing tells others."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert set(billing.states().values()) == {"applied"}
    first = START.replace(day=1, hour=0)
    assert billing.periods("ada") == [(first, START, "gold"), (START, NEXT, "pro")]
    assert billing.used("ada")["analysis"] == 0


def test_a_correction_grants_it_too(billing: Billing, had_gold: None) -> None:
    billing.now = START
    with fake_api.serving(VirtualStripe()) as api:
        api.stripe.open("cus_ada", "pro_monthly", metadata={"user_id": "ada"})
        found = list(reconcile(connect(KEY, base_url=api.url), now=START, actor="olga", correct=True))
    named = [each for each in found if not isinstance(each, int)]
    assert [(each.kind, each.is_corrected) for each in named] == [(DiscrepancyKind.MISSED_STATE, True)]
    assert billing.user("ada")[0] == "pro"
