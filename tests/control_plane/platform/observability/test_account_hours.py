"""Accounts by the hour, on both databases: each counts once, whichever process saw it; none speaks for all."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import SignalAccount
from control_plane.platform.observability import account_failures, account_hours, signals
from control_plane.platform.observability.account_hours import AccountBuffer, KnownAccounts
from control_plane.platform.observability.signals import BUFFER, Sample, SeriesKey
from control_plane.platform.runtime import change_feed
from control_plane.signal_counts import Counts
from control_plane.signal_names import ACCOUNTS, EXCESS, SHARES

SIGNAL, ENGINE = "price_failure", "new"
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def counted(app: Flask) -> Iterator[None]:
    """An application in which an alert counts this signal by account."""
    with app.app_context():
        signals.count_by_account([SIGNAL])
        yield


def record(account: str, *, bad: bool = False, role: str = "served") -> None:
    signals.record(Sample(SIGNAL, bad, ENGINE, role, account))


def begin_another_process() -> None:
    """Forget what this process knows, as one that has just begun knows nothing."""
    BUFFER.get().accounts.known = KnownAccounts()


def accounts(at: datetime) -> tuple[int, int]:
    """Return the number of bad accounts, and of all."""
    signals.flush(at)
    with read_only() as session:
        found = signals.totals(session).get(SeriesKey(SIGNAL + ACCOUNTS, ENGINE), Counts(0, 0))
    return found.bad, found.total


def write_in_vain(at: datetime) -> None:
    with transaction() as session:
        signals.write(session, at)
        raise ZeroDivisionError


def test_an_account_counts_with_its_first_outcome_and_is_bad_from_its_first_bad_one_on(now: datetime) -> None:
    record("ann")
    record("ben")
    record("ann")
    assert accounts(now) == (0, 2)
    record("ann", bad=True)
    assert accounts(now) == (1, 2)
    record("ann", bad=True)
    record("ann")
    record("ben", role="shadow")
    assert accounts(now) == (1, 2)


def test_processes_that_see_the_same_account_count_it_once(now: datetime) -> None:
    record("ann")
    record("ben", bad=True)
    assert accounts(now) == (1, 2)
    begin_another_process()
    record("ann", bad=True)
    record("ben", bad=True)
    assert accounts(now) == (2, 2)


def test_another_hour_counts_accounts_again(now: datetime) -> None:
    record("ann")
    assert accounts(now) == (0, 1)
    record("ann")
    assert accounts(now + HOUR) == (0, 2)


def test_what_could_not_be_written_is_counted_later(now: datetime) -> None:
    record("ann", bad=True)
    with pytest.raises(ZeroDivisionError):
        write_in_vain(now)
    assert accounts(now) == (1, 1)


def test_one_account_that_is_bad_all_day_counts_once_and_three_count_each_time(now: datetime) -> None:
    midnight = now.replace(hour=0, minute=30)
    for hour in range(8):
        record("ann", bad=True)
        accounts(midnight + hour * HOUR)
    assert accounts(midnight + 7 * HOUR) == (1, 8)
    with read_only() as session:
        assert signals.totals(session)[SeriesKey(SIGNAL + ACCOUNTS + EXCESS, ENGINE)].bad == 7
    for hour in range(8, 16):
        for name in ("ann", "ben", "eve"):
            record(name, bad=True)
        accounts(midnight + hour * HOUR)
    bad, total = accounts(midnight + 15 * HOUR)
    assert total == 8 + 24
    assert bad >= 1 + 2 * 8


def test_one_account_that_is_bad_for_weeks_counts_once(now: datetime) -> None:
    weeks = account_failures.SHARE_HOURS
    begins = now - HOUR * (int(now.timestamp()) // 3600 % weeks)
    for hour in range(0, weeks, 12):
        record("ann", bad=True)
        counted = accounts(begins + hour * HOUR)
    assert counted == (1, weeks // 12)


def test_a_name_that_is_no_text_does_not_stop_the_counts(now: datetime) -> None:
    record("\ud800", bad=True)
    record("ann\0ben")
    assert accounts(now) == (1, 2)


def test_a_new_attempt_counts_the_accounts_of_the_hour_anew(now: datetime) -> None:
    record("ann", bad=True)
    assert accounts(now) == (1, 1)
    with transaction() as session:
        account_failures.begin_attempt(session, [SIGNAL])
        change_feed.publish(session, "rollouts", "FLAG", now=now)
    record("ann", bad=True)
    assert accounts(now) == (2, 2)


def test_who_is_still_good_may_turn_bad(now: datetime) -> None:
    record("ann")
    record("ben", bad=True)
    record("eve")
    signals.flush(now)
    with read_only() as session:
        assert account_hours.still_good(session, SIGNAL, ENGINE, now) == 2
        assert account_hours.still_good(session, SIGNAL, ENGINE, now + HOUR) == 0


def test_a_process_counts_no_more_accounts_than_it_can_remember(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_hours, "REMEMBERED_MAX", 3)
    for number in range(5):
        record(f"u{number}", bad=True)
    assert accounts(now) == (3, 3)
    for number in range(5):
        record(f"u{number}", bad=True)
    assert accounts(now) == (3, 3)


def test_nothing_is_counted_by_account_where_no_alert_asks_for_it(now: datetime) -> None:
    signals.count_by_account([])
    record("ann", bad=True)
    assert accounts(now) == (0, 0)


def test_hashes_alone_are_stored_and_only_for_so_long(now: datetime) -> None:
    record("ann@example.com", bad=True)
    signals.flush(now)
    with transaction() as session:
        stored = list(session.scalars(select(SignalAccount.account)))
        assert stored
        assert not [each for each in stored if "ann" in each]
        account_failures.forget(session, now + 3 * HOUR)
        assert {row.signal for row in session.scalars(select(SignalAccount))} == {f"{SIGNAL}{ACCOUNTS}{SHARES}"}
        account_failures.forget(session, now + 24 * HOUR)
        account_failures.forget(session, now + 57 * 24 * HOUR)
        assert not list(session.scalars(select(SignalAccount)))


def test_processes_that_write_at_the_same_time_count_each_account_once(app: Flask, now: datetime) -> None:
    names = [f"u{number}" for number in range(30)]

    def write_as_a_process(number: int) -> tuple[int, int]:
        buffer = AccountBuffer(KnownAccounts(), [SIGNAL])
        for place, name in enumerate(names[number:] + names[:number]):
            buffer.add(SIGNAL, ENGINE, name, bad=place % 2 == 0)
        with app.app_context(), transaction() as session:
            found = list(account_hours.write(session, buffer, now))
        counted = [each for each in found if not each.signal.endswith(EXCESS)]
        return sum(each.bad for each in counted), sum(each.good + each.bad for each in counted)

    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(write_as_a_process, range(8)))
    bad, total = map(sum, zip(*written, strict=True))
    assert (bad, total) == (30, 30)
