"""What rolls over from a period: never more than was unused, never more than the rule says, and nothing unlimited."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.amounts import KINDS, Amounts, Limits
from credits_engine.engines.periods import Period, billing_period, fitted, months_after
from credits_engine.engines.plan_versions import PlanVersion, plans_at, version_errors
from credits_engine.engines.plans import CATALOGUE, Catalogue
from credits_engine.engines.rollovers import Rollover, is_whole, last_end, raised, rolled_over, with_seats

START = datetime(2027, 3, 10, tzinfo=UTC)
DAY = timedelta(days=1)
LIMITS: dict[str, tuple[int | None, int | None]] = dict.fromkeys(KINDS, (100, 100))
RULE = {"analysis": Rollover(max=30)}

figures = st.integers(0, 10**9)
rules = st.builds(Rollover, max=figures, periods=st.integers(1, 12)) | st.builds(
    Rollover, max_percent=st.integers(0, 100), periods=st.integers(1, 12)
)
by_kind = st.dictionaries(st.sampled_from(KINDS), rules)
limits = st.builds(Limits, st.none() | figures, st.none() | figures)
used = st.builds(Amounts, figures, figures)
moments = st.integers(0, 35_000).map(lambda hours: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours))


@given(by_kind, limits, used)
def test_no_more_rolls_over_than_is_unused_nor_than_the_rule_says(
    wanted: dict[str, Rollover], granted: Limits, spent: Amounts
) -> None:
    moved = rolled_over(wanted, granted, spent)
    for kind, amount in moved.items():
        limit, rule = granted[kind], wanted.get(kind)
        if limit is None or rule is None:
            assert amount == 0
            continue
        most = rule.max if rule.max is not None else limit * (rule.max_percent or 0) // 100
        unused = max(0, limit - spent[kind])
        assert amount == (most if most < unused else unused)


@given(by_kind, limits, used)
def test_what_has_moved_cannot_move_again(wanted: dict[str, Rollover], granted: Limits, spent: Amounts) -> None:
    """A user who goes on spending in the period that ended finds as much less as moved out of it."""
    moved = rolled_over(wanted, granted, spent)
    left = raised(granted, -moved)
    for kind, amount in moved.items():
        if (limit := granted[kind]) is not None:
            assert (left[kind] or 0) + amount == limit
            assert spent[kind] > limit or (left[kind] or 0) >= spent[kind]


@given(st.none() | moments, moments, st.integers(1, 12))
def test_credits_last_to_the_end_of_the_last_of_their_periods(
    anchor: datetime | None, now: datetime, periods: int
) -> None:
    counted_from = anchor or datetime(2026, 1, 1, tzinfo=UTC)
    opened = billing_period(counted_from, now)
    n = (opened.start.year - counted_from.year) * 12 + opened.start.month - counted_from.month
    assert last_end(opened, anchor, periods) == months_after(counted_from, n + periods)


@given(moments, moments, st.integers(1, 600))
def test_only_a_period_from_its_regular_start_to_its_regular_end_is_whole(
    anchor: datetime, now: datetime, hours: int
) -> None:
    whole, cut = billing_period(anchor, now), timedelta(hours=hours, minutes=1)
    assert is_whole(whole)
    assert not is_whole(fitted(whole, not_before=None, not_after=whole.end - cut))
    assert not is_whole(fitted(whole, not_before=whole.start + cut, not_after=None))
    assert not is_whole(Period(whole.start, months_after(whole.end, 1)))


def test_a_period_keeps_the_rules_that_it_began_with() -> None:
    versions = [
        PlanVersion("free", "Free", START, LIMITS, rollovers=RULE),
        PlanVersion("free", "Free", START + 30 * DAY, LIMITS, grace_days=3),
        PlanVersion("free", "Free", START + 60 * DAY, LIMITS, rollovers={}),
    ]
    plan = Catalogue(plans_at(CATALOGUE.built_in, versions, KINDS, START + 90 * DAY)).plan("free")
    found = [bool(plan.rollovers_of(START + day * DAY)) for day in (-1, 0, 30, 59, 60, 90)]
    assert found == [False, True, True, True, False, False]


def test_seats_multiply_an_amount_and_leave_a_share_of_the_limit_alone() -> None:
    rule = {"analysis": Rollover(max=30, periods=2), "roast": Rollover(max_percent=50)}
    assert with_seats(rule, 5) == {"analysis": Rollover(max=150, periods=2), "roast": Rollover(max_percent=50)}
    team = PlanVersion("team", "Team", START, LIMITS, "pro", per_seat=True, rollovers=rule)
    plan = Catalogue(plans_at(CATALOGUE.built_in, [team], KINDS, START)).plan("team:5")
    assert rolled_over(plan.rollovers_of(START), plan.v2, Amounts(200, 100)) == Amounts(150, 250)


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"video": Rollover(max=1)}, "video, which is no kind of credits"),
        ({"roast": Rollover()}, "either as max or as max_percent"),
        ({"roast": Rollover(max=1, max_percent=1)}, "either as max or as max_percent"),
        ({"roast": Rollover(max=-1)}, "a whole number from 0"),
        ({"roast": Rollover(max_percent=101)}, "0 to 100 percent"),
        ({"roast": Rollover(max=1, periods=0)}, "1 to 12 periods"),
        ({"roast": Rollover(max=1, periods=13)}, "1 to 12 periods"),
    ],
)
def test_what_cannot_be_a_rule_is_said(rule: dict[str, Rollover], sentence: str) -> None:
    wanted = PlanVersion("free", "Free", START, LIMITS, rollovers=rule)
    (found,) = version_errors([wanted], [], CATALOGUE.built_in, KINDS)
    assert found.startswith("Plan 'free': ")
    assert sentence in found


def test_a_kind_that_is_to_come_may_have_a_rule() -> None:
    wanted = PlanVersion("free", "Free", START, LIMITS, rollovers={"image": Rollover(max=1)})
    assert version_errors([wanted], [], CATALOGUE.built_in, KINDS, ["image"]) == []
