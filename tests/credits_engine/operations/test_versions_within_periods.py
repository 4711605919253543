"""A version of a plan that begins while periods run: who gets which limits, and that it looks like no fault of v2."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import plan_catalogue
from credits_engine.engines.amounts import Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.plan_versions import PlanVersion
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.guard_signals import REFUSED_ALONE, VARIANCE, outcome_signals
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store import plan_versions
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.conftest import Consumer

DAY = timedelta(days=1)
ANCHOR = datetime(2026, 11, 20, 9, tzinfo=UTC)
BEGINS = datetime(2026, 11, 15, tzinfo=UTC)


@contextmanager
def version(plan: str, starts_at: datetime, analysis: tuple[int, int], roast: tuple[int, int]) -> Iterator[None]:
    """Let a plan grant other limits, of v2 and of legacy, from a moment on."""
    catalogue = dict(vars(CATALOGUE))
    limits: Mapping[str, tuple[int, int]] = {"analysis": analysis, "roast": roast}
    added = PlanVersion(plan, CATALOGUE.plan(plan).title, starts_at, limits)
    with transaction() as session:
        plan_versions.add(session, added, now=starts_at - DAY, by="alice")
    try:
        yield
    finally:
        vars(CATALOGUE).update(catalogue)


@pytest.fixture(autouse=True)
def books_are_equal(consumer: Consumer) -> Iterator[None]:
    consumer.v2 = True
    yield
    with read_only() as session:
        assert reconcile(session).clean


def take(consumer: Consumer, at: datetime, key: str, analysis: int = 0, roast: int = 0) -> Receipt:
    consumer.now = at
    plan_catalogue.reload(at)
    return consumer.take("ada", key, analysis, roast)


def faults(receipt: Receipt) -> set[str]:
    return {each.signal for each in outcome_signals(receipt) if each.bad and each.signal in (REFUSED_ALONE, VARIANCE)}


def test_lower_limits_are_in_force_for_v2s_next_period_and_legacys_next_month(
    consumer: Consumer,
) -> None:
    consumer.user("ada", anchor=ANCHOR)
    take(consumer, BEGINS - DAY, "k0", analysis=1)
    with version("free", BEGINS, (50, 50), (5, 5)):
        assert take(consumer, BEGINS + DAY, "k1", analysis=39).outcome is Outcome.ALLOWED, "the period ran"
        in_the_next = take(consumer, ANCHOR + DAY, "k2", analysis=40)
        refused = take(consumer, ANCHOR + 2 * DAY, "k3", analysis=40)
        december = take(consumer, datetime(2026, 12, 2, tzinfo=UTC), "k4", analysis=10)
        assert not any(map(faults, (in_the_next, refused, december)))
    assert (in_the_next.served.limits["analysis"], in_the_next.shadow.limits["analysis"]) == (50, 100)
    assert (refused.outcome, refused.shadow.outcome) == (Outcome.DENIED_LIMIT, Outcome.DENIED_LIMIT)
    assert (december.outcome, december.shadow.limits["analysis"]) == (Outcome.ALLOWED, 50)


def test_what_the_new_limit_refuses_and_legacys_month_still_grants_is_no_fault_of_v2(consumer: Consumer) -> None:
    consumer.user("ada", anchor=ANCHOR)
    with version("free", BEGINS, (50, 50), (5, 5)):
        refused = take(consumer, ANCHOR + DAY, "k1", analysis=60)
        assert faults(refused) == set()
    assert (refused.outcome, refused.shadow.outcome) == (Outcome.DENIED_LIMIT, Outcome.ALLOWED)


def test_what_a_version_grants_differently_to_each_engine_is_declared_by_it(consumer: Consumer) -> None:
    """As in the example of docs/credits.md: five roasts of v2, 25 of legacy."""
    consumer.user("ada")
    with version("free", datetime(2026, 12, 1, tzinfo=UTC), (50, 50), (5, 25)):
        refused = take(consumer, datetime(2026, 12, 3, tzinfo=UTC), "k1", roast=6)
        assert faults(refused) == set()
    assert (refused.outcome, refused.shadow.outcome) == (Outcome.DENIED_LIMIT, Outcome.ALLOWED)


def test_a_limit_that_no_version_ever_had_is_a_fault(consumer: Consumer) -> None:
    consumer.user("ada", anchor=ANCHOR)
    with version("free", BEGINS, (50, 50), (5, 5)):
        take(consumer, ANCHOR + DAY, "k1", analysis=1)
        with transaction() as session:
            session.execute(COUNTERS.update().values(limits=Limits(7, 5)))
        refused = take(consumer, ANCHOR + 2 * DAY, "k2", analysis=20)
        assert faults(refused) == {REFUSED_ALONE, VARIANCE}


def test_a_downgrade_that_waits_keeps_the_limits_of_the_version_it_was_opened_with(consumer: Consumer) -> None:
    consumer.user("ada", "starter", anchor=ANCHOR)
    with version("starter", ANCHOR + 2 * DAY, (800, 800), (8, 80)):
        take(consumer, ANCHOR + DAY, "k1", analysis=1)
        consumer.user("ada", "free", anchor=ANCHOR)
        granted = take(consumer, ANCHOR + 3 * DAY, "k2", analysis=900)
        assert faults(granted) == set()
    assert (granted.outcome, granted.shadow.outcome) == (Outcome.ALLOWED, Outcome.DENIED_LIMIT)
