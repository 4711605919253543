"""Only failures count, per address, and the caller learns how long to wait."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from flask import Flask, current_app
from limits import parse

from control_plane.platform.auth import rate_limit
from control_plane.platform.problems import Problem

TWICE = parse("2/hour")


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    app = Flask(__name__)
    rate_limit.init_app(app)
    with app.app_context():
        yield


def test_an_address_may_fail_as_often_as_the_limit_says() -> None:
    for _ in range(2):
        rate_limit.raise_if_exceeded(TWICE, "10.0.0.1")
        rate_limit.count(TWICE, "10.0.0.1")
    with pytest.raises(Problem) as refusal:
        rate_limit.raise_if_exceeded(TWICE, "10.0.0.1")
    assert (refusal.value.status, refusal.value.code) == (429, "TOO_MANY_FAILURES")
    assert 1 <= int(refusal.value.headers["Retry-After"]) <= 3600


def test_asking_costs_nothing() -> None:
    for _ in range(100):
        rate_limit.raise_if_exceeded(TWICE, "10.0.0.1")


def test_one_address_does_not_pay_for_another() -> None:
    for _ in range(9):
        rate_limit.count(TWICE, "10.0.0.1")
    rate_limit.raise_if_exceeded(TWICE, "10.0.0.2")


def test_a_hundred_at_once_get_no_further_than_a_hundred_in_turn() -> None:
    app, allowed, together = current_app._get_current_object(), list[bool](), Barrier(20)  # type: ignore[attr-defined]

    def attempt() -> None:
        with app.app_context():
            together.wait()
            try:
                with rate_limit.attempt((TWICE, "10.0.0.1")):
                    allowed.append(True)
            except Problem:
                pass

    threads = [Thread(target=attempt) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(allowed) == 2


def test_an_attempt_counts_from_its_beginning_and_not_once_it_succeeded() -> None:
    with rate_limit.attempt((TWICE, "10.0.0.1")) as first, rate_limit.attempt((TWICE, "10.0.0.1")) as second:
        with pytest.raises(Problem), rate_limit.attempt((TWICE, "10.0.0.1")):
            pytest.fail("a third attempt was let in")
        first.failed = second.failed = False
    rate_limit.raise_if_exceeded(TWICE, "10.0.0.1")


def test_what_one_limit_refuses_counts_against_no_other() -> None:
    for _ in range(2):
        rate_limit.count(TWICE, "10.0.0.1")
    for _ in range(5):
        with pytest.raises(Problem), rate_limit.attempt((TWICE, "alice"), (TWICE, "10.0.0.1")):
            pytest.fail("it was let in")
    with rate_limit.attempt((TWICE, "alice"), (TWICE, "10.0.0.2")) as made:
        made.failed = False


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("an unknown address", "an unknown address", True),
    ],
)
def test_an_ipv6_site_is_one_caller(one: str, other: str, are_one: bool) -> None:
    assert (rate_limit.network(one) == rate_limit.network(other)) is are_one


def test_failures_of_one_kind_do_not_count_as_another() -> None:
    for _ in range(99):
        rate_limit.count(rate_limit.SIGN_IN, "10.0.0.1")
    rate_limit.raise_if_exceeded(rate_limit.TOKEN, "10.0.0.1")
