"""What the guard is told about resets and changes of plan: whether they came when they were due."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER
from credits_engine.billing import metrics
from credits_engine.billing.entitlements import period_sweep, sync
from credits_engine.billing.entitlements.sync import sync_user
from credits_engine.billing.reconciliation.comparison import reconcile
from credits_engine.billing.store import accounts
from credits_engine.billing.stripe_api.client import connect
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import FlagEvaluation, Operation, consume
from credits_engine.store.tables import COUNTERS, USERS
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY
from tests.credits_engine.billing.stripe_objects import Subscription
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
NEXT = START.replace(month=12)
QUARTER = 15 * MINUTE
Counted = tuple[int, list[str]]
"""How many were good, and the accounts of the bad."""
GOOD: Counted = (1, [])
BAD: Counted = (0, ["ada"])
NONE: Counted = (0, [])

Look = Callable[[str], Counted]


@pytest.fixture
def counted(billing: Billing) -> Look:
    """Since the last look: how many were good, and whose were bad."""

    def look(signal: str) -> tuple[int, list[str]]:
        good, _, bad = BUFFER.get(billing.app).take()
        total = sum(number for series, number in good.items() if series.signal == signal)
        return total, [failure.account for failure in bad if failure.signal == signal]

    return look


@pytest.fixture
def subscription(billing: Billing, counted: Look) -> tuple[VirtualStripe, Subscription]:
    """Ada's, settled when she paid; nothing has been counted since."""
    stripe = VirtualStripe()
    found = stripe.checkout("ada", "starter_monthly")
    billing.process(stripe.events, at=START)
    counted("")
    return stripe, found


# Resets


@pytest.mark.usefixtures("subscription")
@pytest.mark.parametrize(("late", "expected"), [(timedelta(0), GOOD), (QUARTER, GOOD), (QUARTER + SECOND, BAD)])
def test_a_reset_by_the_clock_is_late_from_a_quarter_of_an_hour_on(
    counted: Look, late: timedelta, expected: tuple[int, list[str]]
) -> None:
    assert period_sweep.sync_due(NEXT + late) == 1
    assert counted(metrics.RESET_LATE) == expected


@pytest.mark.parametrize(("late", "expected"), [(QUARTER, GOOD), (QUARTER + SECOND, BAD)])
def test_the_roll_of_those_without_a_subscription_tells_the_same(
    billing: Billing, counted: Look, late: timedelta, expected: tuple[int, list[str]]
) -> None:
    free(billing)
    assert period_sweep.PeriodSweep().tick(START) == 1
    assert counted(metrics.RESET_LATE) == NONE, "a first period resets nothing"
    assert period_sweep.PeriodSweep().tick(START.replace(month=12, day=1, hour=0) + late) == 1
    assert counted(metrics.RESET_LATE) == expected


@pytest.mark.usefixtures("subscription")
def test_the_bound_is_the_one_of_the_alert(counted: Look) -> None:
    signals.set_bounds({metrics.RESET_LATE: 2.0})
    period_sweep.sync_due(NEXT + 3 * SECOND)
    assert counted(metrics.RESET_LATE) == BAD


@pytest.mark.usefixtures("subscription")
def test_whoever_comes_before_the_clock_is_reset_in_time(billing: Billing, counted: Look) -> None:
    take(billing, NEXT + SECOND)
    assert counted(metrics.RESET_LATE) == GOOD
    period_sweep.PeriodSweep().tick(NEXT + DAY)
    assert counted(metrics.RESET_LATE) == NONE


@pytest.mark.usefixtures("subscription")
@pytest.mark.parametrize(("months", "expected"), [(0, GOOD), (1, BAD), (7, BAD)])
def test_a_cycle_without_a_period_was_skipped(counted: Look, months: int, expected: tuple[int, list[str]]) -> None:
    year, month = divmod(NEXT.month - 1 + months, 12)
    period_sweep.sync_due(NEXT.replace(year=NEXT.year + year, month=month + 1))
    assert counted(metrics.RESET_SKIPPED) == expected


@pytest.mark.usefixtures("subscription")
def test_a_period_that_somebody_else_has_opened_is_no_second_reset(counted: Look) -> None:
    with transaction() as session:
        done = [sync.open_running(session, ["ada"], NEXT + SECOND) for _ in range(2)]
    assert [[opening.period.start for opening in each.openings] for each in done] == [[NEXT], []]
    assert counted(metrics.RESET_LATE) == GOOD


# Changes of plan


@pytest.mark.parametrize(("late", "expected"), [(MINUTE, GOOD), (MINUTE + SECOND, BAD)])
def test_an_upgrade_is_late_from_a_minute_after_stripe_made_it(
    billing: Billing,
    counted: Look,
    subscription: tuple[VirtualStripe, Subscription],
    late: timedelta,
    expected: tuple[int, list[str]],
) -> None:
    stripe, ours = subscription
    stripe.pass_time(START + DAY)
    stripe.change_price(ours, "pro_monthly")
    billing.process(stripe.events, at=stripe.now + late)
    assert billing.user("ada")[0] == "pro"
    assert counted(metrics.PLAN_LATE) == expected


@pytest.mark.parametrize(("late", "expected"), [(MINUTE, GOOD), (MINUTE + SECOND, BAD)])
def test_a_downgrade_is_late_from_a_minute_after_its_period(
    billing: Billing,
    counted: Look,
    subscription: tuple[VirtualStripe, Subscription],
    late: timedelta,
    expected: tuple[int, list[str]],
) -> None:
    stripe, ours = subscription
    stripe.cancel(ours)
    billing.process(stripe.events, at=stripe.now)
    assert counted(metrics.PLAN_LATE) == NONE, "it has not come into force"
    period_sweep.sync_due(NEXT + late)
    assert billing.user("ada")[0] == "free"
    assert counted(metrics.PLAN_LATE) == expected


def test_a_change_that_came_to_light_by_asking_stripe_is_as_old_as_it_is_and_not_as_our_question(
    billing: Billing, counted: Look
) -> None:
    with fake_api.serving(VirtualStripe()) as api:
        ours = api.stripe.checkout("ada", "starter_monthly")
        billing.process(api.stripe.events, at=START)
        api.stripe.pass_time(START + DAY)
        api.stripe.change_price(ours, "pro_monthly")
        api.stripe.pass_time(START + DAY + 2 * MINUTE)
        counted("")
        list(reconcile(connect(KEY, base_url=api.url), now=api.stripe.now, actor="olga", correct=True))
    assert billing.user("ada")[0] == "pro"
    assert counted(metrics.PLAN_LATE) == BAD


@pytest.mark.usefixtures("subscription")
def test_a_renewal_changes_no_plan(counted: Look) -> None:
    period_sweep.sync_due(NEXT + DAY)
    assert counted(metrics.PLAN_LATE) == NONE


@pytest.mark.usefixtures("subscription")
@pytest.mark.parametrize(
    ("limited_as", "since", "expected"),
    [("free", MINUTE, ["ada"]), ("free", MINUTE - SECOND, []), ("pro", MINUTE, []), ("starter", MINUTE, [])],
)
def test_limits_that_never_follow_are_found(
    counted: Look, limited_as: str, since: timedelta, expected: list[str]
) -> None:
    with transaction() as session:
        session.execute(update(COUNTERS).values(plan=limited_as))
    assert period_sweep.check_limits(START + since) == expected
    assert counted(metrics.PLAN_LATE) == (0, expected)


def test_nobody_without_a_subscription_is_waited_for(billing: Billing) -> None:
    free(billing)
    period_sweep.PeriodSweep().tick(START)
    with transaction() as session:
        session.execute(update(USERS).values(plan="pro"))
    assert period_sweep.check_limits(START + DAY) == []


@pytest.mark.usefixtures("subscription")
def test_what_is_rolled_back_is_not_told(counted: Look) -> None:
    def settle_in_vain() -> None:
        with transaction() as session:
            sync_user(session, "ada", now=NEXT + DAY)
            raise LookupError

    with pytest.raises(LookupError):
        settle_in_vain()
    assert counted(metrics.RESET_LATE) == NONE


def free(billing: Billing) -> None:
    """Ada is in the directory and has never paid."""
    with transaction() as session:
        accounts.lock_account(session, "ada", now=billing.now, default_plan="free")


def take(billing: Billing, at: datetime) -> None:
    billing.now = at
    with transaction() as session:
        operation = Operation("ada", "k1", Amounts(1, 0), actor="test")
        consume(session, operation, now=at, evaluate=lambda _: FlagEvaluation(enabled=True, reason="test", revision=1))
