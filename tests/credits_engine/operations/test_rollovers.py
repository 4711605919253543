"""What a period left unused can be spent in the next one, once, whoever serves and however it is opened."""

import itertools
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from sqlalchemy import select
from sqlalchemy.exc import ObjectNotExecutableError

from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import plan_catalogue
from credits_engine.engines.amounts import KINDS, Amounts, Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plan_versions import PlanVersion
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.expiry_jobs import sweep_packs
from credits_engine.operations import period_openings, reservations, rollovers
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.store import plan_versions
from credits_engine.store import rollovers as store
from credits_engine.store.tables import COUNTERS, PACKS
from flags.store import UserAttributes
from tests.credits_engine import organisation
from tests.credits_engine.conftest import LEGACY_SERVES, Consumer
from tests.credits_engine.rolling import RULE, rolling, take
from tests.installation import Installation
from tests.statements import wait_until_somebody_waits

MARCH, APRIL, MAY, JUNE = (datetime(2027, month, 1, tzinfo=UTC) for month in (3, 4, 5, 6))
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


pytestmark = pytest.mark.usefixtures("rollover_of_free")


def left_over(consumer: Consumer, user: str = "ada") -> list[tuple[str, int, int, datetime]]:
    """Kind, amount, remaining and end of what rolled over."""
    with read_only() as session:
        query = select(PACKS).where(PACKS.c.user_id == user, PACKS.c.rolled_from.is_not(None))
        found = session.execute(query.order_by(PACKS.c.rolled_from, PACKS.c.kind))
        return [(row.kind, row.amount, row.remaining, row.expires_at) for row in found]


def limits_of(user: str = "ada") -> list[Limits]:
    with read_only() as session:
        query = select(COUNTERS.c.limits).where(COUNTERS.c.user_id == user).order_by(COUNTERS.c.period_start)
        return list(session.scalars(query))


def test_what_is_unused_is_spent_after_the_next_plans_credits_and_ends_with_its_last_period(consumer: Consumer) -> None:
    take(consumer, MARCH, "k1", analysis=30, roast=8)
    first = take(consumer, APRIL, "k2", analysis=100)
    assert left_over(consumer) == [("analysis", 60, 60, MAY), ("roast", 2, 2, JUNE)]
    assert (first.spent_from_packs, first.served.bought) == (Amounts(), Amounts(60, 2))
    assert take(consumer, APRIL, "k3", analysis=61).outcome is Outcome.DENIED_LIMIT
    assert take(consumer, APRIL, "k4", analysis=20).spent_from_packs == Amounts(20)
    assert take(consumer, MAY - INSTANT, "k5", roast=11).spent_from_packs == Amounts(0, 1)
    take(consumer, MAY, "k6", roast=10)
    assert left_over(consumer) == [("analysis", 60, 40, MAY), ("roast", 2, 1, JUNE)], "April's plan left nothing"
    assert take(consumer, MAY, "k7", analysis=101).outcome is Outcome.DENIED_LIMIT
    assert take(consumer, JUNE - INSTANT, "k8", roast=1).spent_from_packs == Amounts(0, 1)
    assert sweep_packs(JUNE) == 1
    assert limits_of()[0] == Limits(40, 8), "what rolled over is no longer March's"


def test_credits_that_rolled_over_do_not_roll_over_again(consumer: Consumer) -> None:
    take(consumer, MARCH, "k1", analysis=1)
    take(consumer, APRIL, "k2", analysis=70)
    take(consumer, MAY, "k3", analysis=1)
    assert [each[:2] for each in left_over(consumer) if each[0] == "analysis"] == [("analysis", 60), ("analysis", 30)]


def test_nothing_is_left_of_what_has_no_limit_or_no_rule(consumer: Consumer) -> None:
    consumer.user("ada", "custom")
    with rolling("custom", MARCH):
        take(consumer, MARCH, "k1", analysis=1)
        assert take(consumer, APRIL, "k2", analysis=1).served.bought == Amounts()
    consumer.user("bob", "pro")
    consumer.now = MARCH
    consumer.take("bob", "k1", 1)
    consumer.now = APRIL
    consumer.take("bob", "k2", 1)
    assert left_over(consumer) == left_over(consumer, "bob") == []


def test_a_period_that_nobody_opened_leaves_nothing_and_neither_does_the_one_before(consumer: Consumer) -> None:
    take(consumer, MARCH, "k1", analysis=1)
    take(consumer, MAY, "k2", analysis=1)
    assert left_over(consumer) == []


def test_a_period_that_was_cut_short_leaves_nothing(consumer: Consumer) -> None:
    take(consumer, MARCH, "k1", analysis=1)
    consumer.user("ada", anchor=MARCH + 10 * DAY)
    take(consumer, APRIL, "k2", analysis=1)
    assert left_over(consumer) == [("analysis", 60, 60, APRIL + 10 * DAY), ("roast", 5, 5, MAY + 10 * DAY)]
    take(consumer, APRIL + 10 * DAY, "k3", analysis=1)
    assert len(left_over(consumer)) == 2, "the ten days of April"
    take(consumer, MAY + 10 * DAY, "k4", analysis=1)
    assert len(left_over(consumer)) == 4


def test_a_period_that_changed_its_plan_leaves_nothing(consumer: Consumer) -> None:
    take(consumer, MARCH, "k1", analysis=1)
    consumer.user("ada", "starter")
    with rolling("starter", MARCH):
        take(consumer, MARCH + DAY, "k2", analysis=1)
        take(consumer, APRIL, "k3", analysis=1)
        assert left_over(consumer) == [], "or a dearer plan of one day would leave a month's"
        take(consumer, MAY, "k4", analysis=1)
        assert [each[0] for each in left_over(consumer)] == ["analysis", "roast"]


def test_it_stays_with_whoever_goes_to_another_plan(consumer: Consumer) -> None:
    consumer.user("ada", "starter")
    with rolling("starter", MARCH):
        take(consumer, MARCH, "k1", analysis=1)
        consumer.user("ada", "free")
        assert take(consumer, APRIL, "k2", analysis=130).spent_from_packs == Amounts(30)


def test_flips_of_the_engine_lose_nothing_and_grant_nothing_twice(consumer: Consumer) -> None:
    consumer.v2 = False
    take(consumer, MARCH, "k1", analysis=50)
    consumer.v2 = True
    take(consumer, MARCH + DAY, "k2", analysis=20)
    consumer.v2 = False
    first = take(consumer, APRIL, "k3", analysis=110)
    assert (first.spent_from_packs, first.comparison.variance) == (Amounts(10), "match")
    consumer.v2 = True
    assert take(consumer, APRIL + DAY, "k4", analysis=20).spent_from_packs == Amounts(20)
    refused = take(consumer, APRIL + DAY, "k5", analysis=1)
    assert (refused.outcome, refused.comparison.variance) == (Outcome.DENIED_LIMIT, "match")


def test_what_is_given_back_to_the_old_period_stays_there(consumer: Consumer) -> None:
    consumer.now = APRIL - timedelta(minutes=1)
    operation = Operation("ada", "k1", Amounts(70), "test", EntryType.RESERVE)
    with transaction() as session:
        reservations.reserve(session, operation, now=consumer.now, evaluate=lambda _: LEGACY_SERVES)
    take(consumer, APRIL, "k2", analysis=100)
    with transaction() as session:
        reservations.release(session, "ada", "k1", now=APRIL, actor="test", reason="Not needed.")
    assert left_over(consumer)[0] == ("analysis", 30, 30, MAY)
    assert take(consumer, APRIL, "k3", analysis=31).outcome is Outcome.DENIED_LIMIT


def test_a_transaction_that_ends_early_leaves_nothing_and_the_next_one_does_it_once(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(consumer, MARCH, "k1", analysis=1)
    with monkeypatch.context() as patched:
        patched.setattr(store, "NOTE", None)
        with pytest.raises(ObjectNotExecutableError):
            take(consumer, APRIL, "k2", analysis=1)
    assert (left_over(consumer), limits_of()) == ([], [Limits(100, 10)])
    take(consumer, APRIL, "k2", analysis=1)
    assert [each[1] for each in left_over(consumer)] == [60, 5]


def test_opened_together_or_alone_it_is_the_same(consumer: Consumer) -> None:
    spent = [(0, 0), (30, 8), (70, 5), (100, 10)]
    pairs = list(itertools.product(spent, (None, MARCH - 3 * DAY)))
    users = [consumer.user(f"{way}{place}", anchor=anchor) for place, (_, anchor) in enumerate(pairs) for way in "ab"]
    consumer.now = MARCH
    for user, ((analysis, roast), _) in zip(users, [pair for pair in pairs for _ in "ab"], strict=True):
        consumer.take(user, "k1", analysis, roast or 1)
    consumer.now = APRIL
    with transaction() as session:
        period_openings.open_missing_periods(session, [user for user in users if user[0] == "a"], APRIL)
    for user in users:
        consumer.take(user, "k2", 1)
    for place in range(len(pairs)):
        assert left_over(consumer, f"a{place}") == left_over(consumer, f"b{place}")
        assert limits_of(f"a{place}") == limits_of(f"b{place}")


def test_members_spend_what_the_period_of_their_organisation_left(consumer: Consumer, acme: None) -> None:
    organisation.join("ada")
    organisation.take("ada", "k1", analysis=30)
    turn = calendar_month(organisation.LATER).end
    taken = organisation.take("ada", "k2", turn, analysis=120)
    assert (taken.user_id, taken.spent_from_packs) == ("acme", Amounts(20))


def test_seats_multiply_what_rolls_over(consumer: Consumer) -> None:
    consumer.user("ada", "team:3")
    limits: dict[str, tuple[int | None, int | None]] = dict.fromkeys(KINDS, (100, 100))
    team = PlanVersion("team", "Team", MARCH - 90 * DAY, limits, "pro", per_seat=True, rollovers=RULE)
    with transaction() as session:
        plan_versions.add(session, team, now=MARCH, by="test")
    plan_catalogue.reload(MARCH)
    take(consumer, MARCH, "k1", analysis=1, roast=280)
    take(consumer, APRIL, "k2", analysis=1)
    assert [each[:2] for each in left_over(consumer)] == [("analysis", 180), ("roast", 20)]


def test_two_that_open_a_period_at_once_roll_over_once(consumer: Consumer) -> None:
    """Each of them needs more than the plan has, so each has to see what rolled over."""
    take(consumer, MARCH, "k1", analysis=40)
    outcomes = at_once(consumer, [("k2", 60), ("k3", 60), ("k4", 60)])
    assert sorted(outcomes) == ["allowed", "allowed", "denied_limit"]
    assert left_over(consumer)[0][:3] == ("analysis", 60, 40)


@pytest.mark.database("postgresql")
def test_whoever_waited_for_the_lock_across_the_boundary_spends_nothing_twice(consumer: Consumer) -> None:
    """They read the clock in March, and spend in March what April was given already."""
    take(consumer, MARCH, "k1", analysis=40)
    late: list[Receipt] = []

    def spend() -> None:
        with consumer.app.app_context():
            taker = Consumer(consumer.app, v2=True, now=APRIL - INSTANT)
            late.append(taker.take("ada", "k2", 60))

    waiting = Thread(target=spend)
    with transaction() as session:
        rollovers.lock_ended(session, ["ada"], APRIL)
        waiting.start()
        wait_until_somebody_waits()
        period_openings.open_missing_periods(session, ["ada"], APRIL)
    waiting.join()
    spent = late[0].charged["analysis"]
    assert take(consumer, APRIL, "k3", analysis=160 - spent).outcome is Outcome.ALLOWED
    assert take(consumer, APRIL, "k4", analysis=1).outcome is Outcome.DENIED_LIMIT


@pytest.mark.parametrize("v2", [True, False])
def test_whoever_has_a_clock_that_is_behind_spends_nothing_twice_whoever_serves(consumer: Consumer, v2: bool) -> None:
    take(consumer, MARCH, "k1", analysis=40)
    take(consumer, APRIL, "k2", analysis=1)
    consumer.v2 = v2
    assert take(consumer, APRIL - INSTANT, "k3", analysis=60).spent_from_packs == Amounts(60)
    found = [take(consumer, APRIL, f"of{amount}", analysis=amount).outcome for amount in (99, 1)]
    assert found == [Outcome.ALLOWED, Outcome.DENIED_LIMIT]


@pytest.mark.parametrize("spent", [0, 60])
def test_a_clock_that_is_behind_spends_nothing_twice_over_http(consumer: Consumer, spent: int) -> None:
    """Legacy serves; also where nothing is left of the pack, and on PostgreSQL the function was asked."""
    installation = Installation(consumer.app)
    installation.plan()
    installation.watch()
    installation.users(UserAttributes("eve", "free", MARCH - 90 * DAY))
    asked = [(40, MARCH), (100 + spent, APRIL), (60, APRIL - INSTANT), (60, APRIL + DAY)]
    done = [run_operation(Operation("eve", f"k{at}", Amounts(amount), "test"), now=at) for amount, at in asked]
    assert {(each.served.engine, each.comparison.variance) for each in done} == {("legacy", "match")}
    assert sum(each.charged["analysis"] for each in done) == 200, "of March's 100 and April's 100"


@pytest.mark.database("postgresql")
def test_the_function_of_the_database_leaves_such_a_period_to_python(consumer: Consumer) -> None:
    installation = Installation(consumer.app)
    installation.plan()
    installation.watch()
    installation.users(UserAttributes("eve", "free", MARCH - 90 * DAY))
    installation.publish()
    run_operation(Operation("eve", "k1", Amounts(30), "test"), now=MARCH)
    first = run_operation(Operation("eve", "k2", Amounts(120), "test"), now=APRIL)
    again = run_operation(Operation("eve", "k3", Amounts(40), "test"), now=APRIL + DAY)
    assert (first.spent_from_packs, again.spent_from_packs) == (Amounts(20), Amounts(40))
    assert left_over(consumer, "eve")[0] == ("analysis", 60, 0, MAY)


def at_once(consumer: Consumer, asked: list[tuple[str, int]]) -> list[str]:
    """Return the outcomes of operations of one user at the same moment, in April."""
    barrier, outcomes = Barrier(len(asked)), []

    def spend(key: str, analysis: int) -> None:
        with consumer.app.app_context():
            taker = Consumer(consumer.app, v2=True, now=APRIL)
            barrier.wait()
            outcomes.append(taker.take("ada", key, analysis).outcome.value)

    threads = [Thread(target=spend, args=each) for each in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
