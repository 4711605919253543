import random

from control_plane.platform.observability.account_memory import (
    BUSIEST,
    BUSY_OUTCOMES,
    FAILED_MAX,
    BusiestAccounts,
    FailedAccounts,
)


def test_busy_tenants_are_found_among_thousands_of_others_and_no_others_are() -> None:
    accounts, rng = BusiestAccounts(), random.Random(1)
    busy = {
        name
        for name in (f"tenant-{rng.randrange(5)}" if rng.random() < 0.5 else f"u{n}" for n in range(20_000))
        if accounts.observe(name)
    }
    assert busy == {f"tenant-{number}" for number in range(5)}


def test_where_everybody_is_alike_nobody_is_busy() -> None:
    accounts = BusiestAccounts()
    assert not any(accounts.observe(f"u{number % 1000}") for number in range(20_000))


def test_few_accounts_are_all_busy_after_a_while_and_make_room_when_they_stop() -> None:
    accounts = BusiestAccounts()
    seen = [accounts.observe("ada") for _ in range(BUSY_OUTCOMES)]
    assert seen == [False] * (BUSY_OUTCOMES - 1) + [True]
    accounts.halve()
    assert not accounts.observe("ada")
    for number in range(BUSIEST * 30):
        accounts.observe(f"u{number % BUSIEST}")
    assert not accounts.observe("ada"), "it lost its place to those who came more often"


def test_a_failure_is_remembered_for_its_signal_into_the_next_hour() -> None:
    failed = FailedAccounts()
    failed.add("price_failure", "ada")
    assert failed.holds("price_failure", "ada")
    assert not failed.holds("price_difference", "ada")
    failed.turn()
    assert failed.holds("price_failure", "ada")
    failed.turn()
    assert not failed.holds("price_failure", "ada")


def test_no_more_accounts_are_remembered_than_agreed() -> None:
    failed = FailedAccounts()
    for number in range(FAILED_MAX + 10):
        failed.add("price_failure", str(number))
    assert sum(failed.holds("price_failure", str(number)) for number in range(FAILED_MAX + 10)) == FAILED_MAX
