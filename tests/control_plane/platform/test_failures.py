"""Only failures count, per address, and the caller learns how long to wait."""

from collections.abc import Iterator

import pytest
from flask import Flask
from limits import parse

from control_plane.platform import failures
from control_plane.platform.problems import Problem

TWICE = parse("2/hour")


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    app = Flask(__name__)
    failures.init_app(app)
    with app.app_context():
        yield


def test_an_address_may_fail_as_often_as_the_limit_says() -> None:
    for _ in range(2):
        failures.refuse_if_exhausted(TWICE, "10.0.0.1")
        failures.count(TWICE, "10.0.0.1")
    with pytest.raises(Problem) as refusal:
        failures.refuse_if_exhausted(TWICE, "10.0.0.1")
    assert (refusal.value.status, refusal.value.code) == (429, "TOO_MANY_FAILURES")
    assert 1 <= int(refusal.value.headers["Retry-After"]) <= 3600


def test_asking_costs_nothing() -> None:
    for _ in range(100):
        failures.refuse_if_exhausted(TWICE, "10.0.0.1")


def test_one_address_does_not_pay_for_another() -> None:
    for _ in range(9):
        failures.count(TWICE, "10.0.0.1")
    failures.refuse_if_exhausted(TWICE, "10.0.0.2")


def test_failures_of_one_kind_do_not_count_as_another() -> None:
    for _ in range(99):
        failures.count(failures.SIGN_IN, "10.0.0.1")
    failures.refuse_if_exhausted(failures.TOKEN, "10.0.0.1")
