"""A plan by the seat, made by data alone: the subscription's quantity says how much both engines grant."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from credits_engine.administration import catalogue_document, plan_catalogue
from credits_engine.billing import price_administration, schedule
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled
from flags.store import Effect, UserAttributes, put_override
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json, Subscription
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.installation import Installation

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DOCUMENT = """
plans:
  - plan: team
    above: plus
    per_seat: true
    limits: {analysis: {v2: 10, legacy: 10}, roast: {v2: 2, legacy: 2}}
"""
CHANGE = ChangeContext(NOW, "alice", "A plan by the seat.")


@pytest.fixture(autouse=True)
def installed(app: Flask) -> Iterator[None]:
    """The plan and its price; afterwards the catalogue, which is the process's, is put back."""
    catalogue = dict(vars(CATALOGUE))
    installation = Installation(app)
    installation.plan()
    installation.watch()
    with app.app_context():
        with transaction() as session:
            put_override(session, FLAG, "acme", Effect.ALLOW, CHANGE)
            plan_catalogue.apply(session, catalogue_document.parsed(DOCUMENT), CHANGE)
        installation.publish()
        plan_catalogue.reload(NOW)
        with transaction() as session:
            price_administration.apply(
                session, price_administration.parsed("prices: [{price: team_monthly, plan: team}]"), CHANGE
            )
        schedule.reload_prices(datetime.now(UTC))
        yield
    vars(CATALOGUE).update(catalogue)


def take(user: str, key: str, now: datetime, **amounts: int) -> Receipt:
    return run_operation(Operation(user, key, Amounts(**amounts), "test"), now=now)


class TeamSubscription:
    """A subscription with seats, whose events billing processes."""

    def __init__(self, app: Flask, generation: str, seats: int) -> None:
        self.stripe = VirtualStripe(generation, now=NOW)
        self.billing = Billing(app, NOW)
        self.seats = seats
        self.subscription: Subscription = self.stripe.checkout("acme", "team_monthly")
        self.process()

    def process(self) -> None:
        for event in self.stripe.events:
            if event["type"].startswith("customer.subscription"):
                self._seat(event["data"]["object"], self.seats)
            elif event["type"].startswith("invoice.pa"):
                for line in event["data"]["object"]["lines"]["data"]:
                    line.setdefault("quantity", self.seats)
        told, self.stripe.events = self.stripe.events, []
        self.billing.process(told, at=self.stripe.now)

    def change(self, seats: int, *, cents: tuple[int, int] | None = None) -> None:
        """Change the number of seats, prorated by a credit and a charge, or free of charge until the next invoice."""
        self.stripe.now += DAY
        before, self.seats = self.seats, seats
        self.stripe._tell(self.subscription, "updated", {})
        if cents:
            line = self.stripe._objects.line(self.subscription, start=self.stripe.now, proration=True)
            lines = [{**line, "amount": -cents[0], "quantity": before}, {**line, "amount": cents[1], "quantity": seats}]
            self.stripe._settle(
                self.subscription, self.stripe._objects.invoice(self.subscription, "subscription_update", lines)
            )
        self.process()

    @staticmethod
    def _seat(stated: Json, seats: int) -> None:
        for item in stated["items"]["data"]:
            item["quantity"] = seats


@pytest.mark.parametrize("generation", [GENERATIONS[0], GENERATIONS[-1]])
def test_seats_are_granted_by_both_engines_more_at_once_and_fewer_once_credited(app: Flask, generation: str) -> None:
    team = TeamSubscription(app, generation, 3)
    assert team.billing.user("acme")[0] == "team:3"
    now = team.stripe.now
    first = take("acme", "k1", now, analysis=30)
    assert (first.outcome, first.comparison.variance) == (Outcome.ALLOWED, "match")
    assert first.served.limits == first.shadow.limits == Limits(30, 6)
    assert take("acme", "k2", now, analysis=1).outcome is Outcome.DENIED_LIMIT
    team.change(5, cents=(9000, 15000))
    more = take("acme", "k3", team.stripe.now, analysis=20)
    assert (more.outcome, more.served.limits, more.shadow.limits) == (Outcome.ALLOWED, Limits(50, 10), Limits(50, 10))
    team.change(1, cents=(15000, 3000))
    assert team.billing.user("acme")[0] == "team"
    assert take("acme", "k4", team.stripe.now, analysis=1).outcome is Outcome.DENIED_LIMIT
    assert scheduled.check_books(team.stripe.now, "demand").found == 0


def test_flipping_seats_for_a_minute_grants_nothing_for_long(app: Flask) -> None:
    team = TeamSubscription(app, GENERATIONS[-1], 2)
    team.change(9)
    assert team.billing.user("acme")[0] == "team:9"
    team.change(2)
    assert team.billing.user("acme")[0] == "team:2"
    assert [name for *_, name in team.billing.periods("acme")][-1] == "team:2"


@pytest.mark.parametrize("is_paid", [True, False])
def test_seats_of_a_price_with_tiers_are_granted_as_far_as_they_are_paid(app: Flask, is_paid: bool) -> None:
    team = TeamSubscription(app, GENERATIONS[-1], 8)
    team.stripe.now += 31 * DAY
    start = team.stripe.begin_period(team.subscription)
    line = team.stripe._objects.line(team.subscription, start=start, proration=False)
    tiers = [{**line, "quantity": quantity, "amount": cents} for quantity, cents in ((5, 0), (0, 4_900), (3, 3_000))]
    invoice = team.stripe._objects.invoice(team.subscription, "subscription_cycle", tiers)
    if is_paid:
        team.stripe._settle(team.subscription, invoice)
        team.stripe.cancel(team.subscription, at_once=True)
    else:
        team.stripe._send("invoice.voided", {**invoice, "status": "void"})
    team.stripe.now += DAY
    team.process()
    assert team.billing.user("acme")[0] == "team:8"
    assert (team.billing.account("acme")["blocked"] is None) == is_paid


def test_seats_that_were_given_by_hand_count_as_well(app: Flask) -> None:
    Installation(app).users(UserAttributes("eve", "team:4", NOW - 90 * DAY), UserAttributes("bob", "pro:4", NOW))
    receipt = take("eve", "k1", NOW, analysis=40)
    assert (receipt.outcome, receipt.served.limits, receipt.shadow.limits) == (
        Outcome.ALLOWED,
        Limits(40, 8),
        Limits(40, 8),
    )
    assert take("eve", "k2", NOW, analysis=1).outcome is Outcome.DENIED_LIMIT
    with pytest.raises(UnknownPlanError):
        take("bob", "k1", NOW, analysis=1)


def test_another_limit_of_a_seat_counts_for_every_number_of_seats(app: Flask) -> None:
    team = TeamSubscription(app, GENERATIONS[-1], 3)
    later = NOW + 62 * DAY
    fewer, starts = DOCUMENT.replace("10", "7"), f"    starts: {(NOW + DAY).isoformat()}\n"
    document = fewer.replace("    above: plus\n    per_seat: true\n", starts)
    with transaction() as session:
        plan_catalogue.apply(session, catalogue_document.parsed(document), CHANGE)
    plan_catalogue.reload(later)
    plan_catalogue.write(later)
    team.stripe.pass_time(later)
    team.process()
    receipt = take("acme", "k1", later, analysis=21)
    assert (receipt.outcome, receipt.served.limits, receipt.shadow.limits) == (
        Outcome.ALLOWED,
        Limits(21, 6),
        Limits(21, 6),
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (DOCUMENT.replace("plan: team", "plan: 'team:5'"), "holds no colon"),
        (DOCUMENT.replace("plan: team\n    above: plus", "plan: pro"), "only a plan that is new"),
    ],
)
def test_what_can_not_be_by_the_seat_is_refused(document: str, words: str, refused: Callable[[str], str]) -> None:
    assert words in refused(document)


@pytest.fixture
def refused() -> Callable[[str], str]:
    """Return why a document is refused."""

    def refused(document: str) -> str:
        with pytest.raises(Problem) as problem, transaction() as session:
            plan_catalogue.apply(session, catalogue_document.parsed(document), CHANGE)
        return str(problem.value.detail)

    return refused
