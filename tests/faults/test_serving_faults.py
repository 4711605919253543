"""What fails where an engine serves, outside of the engine: eight beta users of v2 among four hundred."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from control_plane.core.phases import Position, RolloutState
from credits_engine.api import serializers
from credits_engine.engines import v2
from credits_engine.engines.receipts import Receipt
from credits_engine.operations import consumption, reservations
from credits_engine.operations.reservations import ReservationResult
from credits_engine.store.reservations import StoredReservation
from tests.faults.product import BETA, USERS, Product, always, failing

# On PostgreSQL one statement decides, writes and answers.
pytestmark = [pytest.mark.faults, pytest.mark.database("sqlite")]

BETA_STEP = Position(1, 0)
SERVING, ERRORS, FAILURE = "credit_serving_failure", "api_error_rate", "credit_consumption_failure"
BETA_USERS = [f"u{number}" for number in range(USERS - BETA, USERS)]
PLACES = ("run_experiment", "_write", "receipt_document")
Crashes = Callable[[str], bool]


def of_v2(engine: str) -> bool:
    return engine == "v2"


def of_both(_engine: str) -> bool:
    return True


@pytest.fixture
def product(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """All is well for everybody outside the beta."""
    with app.app_context():
        product = Product(app, monkeypatch, service_token, BETA_STEP)
        for number in range(USERS - BETA):
            assert product.ask(f"u{number}") == 200
        product.watch()
        yield product


def crash(product: Product, place: str, crashes: Crashes, error: Exception | None = None) -> None:
    """Let the evaluation after the routing, the write path or the serialisation raise for what `crashes` names."""
    module = serializers if place == "receipt_document" else consumption
    whole = getattr(module, place)

    def crashing(*arguments: object, **options: object) -> object:
        found = whole(*arguments, **options)
        receipt = next(each for each in (found, *arguments) if isinstance(each, Receipt))
        if crashes(receipt.served.engine.value):
            raise error or RuntimeError
        return found

    product.patch.setattr(module, place, crashing)


def ask_beta(product: Product, *, until: RolloutState) -> int:
    """Ask for one beta user after the other until the guard acts; how many were answered with an error."""
    for asked, user in enumerate(BETA_USERS, start=1):
        assert product.ask(user) >= 500
        product.watch()
        if product.rollout.state is until:
            return asked
    return BETA + 1


@pytest.mark.parametrize("place", PLACES)
def test_v2_failing_only_where_it_serves_is_rolled_back_within_three_answers(product: Product, place: str) -> None:
    crash(product, place, of_v2)
    assert ask_beta(product, until=RolloutState.ROLLED_BACK) <= 3
    assert "v2 alone is to blame" in product.rollout.state_reason
    assert product.verdict(FAILURE).counts.bad == 0, "its engine answered"


@pytest.mark.parametrize(
    ("engine", "users", "state", "told"),
    [
        ("v2", BETA_USERS, RolloutState.ROLLED_BACK, "v2 alone is to blame"),
        ("legacy", [f"u{number}" for number in range(20)], RolloutState.HELD, "it is legacy that fails"),
    ],
)
def test_a_reservation_that_cant_be_settled_is_a_failure_of_the_engine_that_granted_it(
    product: Product, engine: str, users: list[str], state: RolloutState, told: str
) -> None:
    whole = reservations._finalize

    def crashing(session: Session, stored: StoredReservation, *arguments: Any, **options: Any) -> ReservationResult:
        if stored.engine == engine:
            raise RuntimeError
        return whole(session, stored, *arguments, **options)

    product.patch.setattr(reservations, "_finalize", crashing)
    for number, user in enumerate(users):
        assert product.reserve(user, key=f"r{number}") == 200
        assert product.settle(user, key=f"r{number}", path=("commit", "release")[number % 2]) == 500
    product.watch()
    assert product.rollout.state is state
    assert told in product.rollout.state_reason


@pytest.mark.parametrize("place", PLACES)
def test_what_fails_wherever_an_engine_serves_is_held(product: Product, place: str) -> None:
    crash(product, place, of_both)
    for number in range(0, USERS, 4):
        product.ask(f"u{number}")
        product.watch()
    ask_beta(product, until=RolloutState.ROLLED_BACK)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)


def test_the_engines_own_failure_counts_once_and_so_do_its_retries(product: Product) -> None:
    product.engines(v2=failing(v2.decide, always))
    for _ in range(20):
        assert product.ask(BETA_USERS[0], key="the-same") == 503
    product.watch()
    for alert in (SERVING, ERRORS, FAILURE):
        assert product.verdict(alert).counts.bad == 1, alert
    assert product.rollout.state is RolloutState.RUNNING


@pytest.mark.parametrize("place", PLACES)
def test_retries_of_what_fails_around_the_engine_count_once(product: Product, place: str) -> None:
    crash(product, place, of_v2)
    for user in BETA_USERS[:3]:
        for _ in range(10):
            product.ask(user, key="the-same")
    product.watch()
    for alert in (SERVING, ERRORS):
        assert product.verdict(alert).counts.bad <= 3, alert


@pytest.mark.parametrize("place", PLACES)
def test_what_the_database_refuses_to_v2_alone_is_rolled_back(product: Product, place: str) -> None:
    """Its statements time out, or its rows can't be written: users see 503, and no outage is to blame."""
    crash(
        product, place, of_v2, OperationalError("UPDATE", {}, Exception("canceling statement due to statement timeout"))
    )
    assert ask_beta(product, until=RolloutState.ROLLED_BACK) <= BETA
    assert product.rollout.state_reason.startswith("api_database_unavailable")
    assert "v2 alone is to blame" in product.rollout.state_reason
    assert product.verdict(SERVING).counts.bad == 0


@pytest.mark.parametrize("place", PLACES)
def test_a_database_that_goes_away_around_the_engines_is_no_failure_of_v2(product: Product, place: str) -> None:
    crash(product, place, of_both, OperationalError("UPDATE", {}, Exception("server closed the connection")))
    for number in range(20):
        product.ask(f"u{number}")
    assert ask_beta(product, until=RolloutState.ROLLED_BACK) > BETA
    assert product.verdict(SERVING).counts.bad == 0
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)
    assert "legacy fails as well" in product.verdict("api_database_unavailable").reason
