"""What the failures of single accounts count for: one account moves nothing, many are what they are."""

from collections import Counter
from datetime import datetime, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import SignalAccount
from control_plane.platform.observability import account_failures, signals
from control_plane.platform.observability.account_failures import SHARE_OF_ONE, countable
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.signal_counts import Counts
from control_plane.signal_names import EXCESS

FAILURE = SeriesKey("credit_consumption_failure", "v2", "served")
accounts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), max_size=8)


def fail(account: str, times: int = 1, operation: str | None = None) -> None:
    sample = Sample(FAILURE.signal, bad=True, engine="v2", account=account, operation=operation)
    signals.record(*[sample] * times)


def counts(now: datetime) -> tuple[int, int]:
    """Failures that count, and those that are excess."""
    signals.flush(now)
    with read_only() as session:
        found = signals.totals(session)
    excess = found.get(SeriesKey(FAILURE.signal + EXCESS, "v2", "served"), Counts(0, 0))
    return found.get(FAILURE, Counts(0, 0)).bad, excess.bad


@pytest.mark.parametrize(
    ("failures", "counting"),
    [({"a": 900}, 1), ({"a": 900, "b": 900}, 2), ({"a": 40, "b": 40, "c": 40}, 120), ({"a": 900, "b": 1, "c": 1}, 4)],
)
def test_from_three_accounts_on_failures_are_everybodys(failures: dict[str, int], counting: int) -> None:
    assert sum(countable({}, failures).values()) == pytest.approx(counting, abs=1)


@given(accounts, accounts)
def test_no_account_exceeds_its_share_and_nothing_is_made_up(first: dict[str, int], second: dict[str, int]) -> None:
    counted = countable({}, first)
    more = countable(counted, second)
    together = Counter(counted) + Counter(more)
    for name, number in together.items():
        others = together.total() - number
        assert (number - 1) * (SHARE_OF_ONE - 1) <= others + SHARE_OF_ONE - 1
        assert number <= first.get(name, 0) + second.get(name, 0)
    assert all(more.get(name, 0) <= second[name] for name in second)


@given(st.integers(3, 12), st.integers(1, 30))
def test_accounts_that_fail_alike_all_count(number: int, times: int) -> None:
    failures = {f"account {index}": times for index in range(number)}
    assert countable({}, failures) == failures


def test_one_account_counts_once_and_the_rest_is_excess(app: Flask, now: datetime) -> None:
    with app.app_context():
        fail("u1", 40)
        assert counts(now) == (1, 39)
        fail("u1", 10)
        assert counts(now) == (1, 49)
        fail("u1")
        assert counts(now + timedelta(hours=1)) == (2, 49)


def test_a_release_that_fails_many_accounts_is_counted_in_full(app: Flask, now: datetime) -> None:
    with app.app_context():
        for number in range(20):
            fail(f"u{number}", 6)
        assert counts(now) == (120, 0)


def test_retries_of_one_operation_count_once_however_far_apart(app: Flask, now: datetime) -> None:
    with app.app_context():
        for _ in range(3):
            for number in range(5):
                fail(f"u{number}", 4, operation=f"key {number}")
            assert counts(now) == (5, 0)
        fail("u1", operation="another key")
        assert counts(now) == (6, 0)


def test_only_hashes_are_stored_and_only_for_two_hours(app: Flask, now: datetime) -> None:
    with app.app_context():
        fail("maria@example.org", operation="invoice 7")
        signals.flush(now)
        with read_only() as session:
            stored = session.query(SignalAccount.account).all()
        assert len(stored) == 2
        assert not any("maria" in account or "invoice" in account for (account,) in stored)
        for hours, left in ((1, 2), (3, 0)):
            with transaction() as session:
                account_failures.forget(session, now + timedelta(hours=hours))
                assert session.query(SignalAccount).count() == left
