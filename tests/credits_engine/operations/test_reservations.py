from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.receipts import EntryType, Receipt, replayed
from credits_engine.expiry_jobs import sweep
from credits_engine.operations import reservations
from credits_engine.operations.consumption import KeyConflictError, Operation
from credits_engine.operations.reservations import (
    CommitTooLargeError,
    FinalizedDifferentlyError,
    ReservationResult,
    UnknownReservationError,
)
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store.reservations import ReservationState
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.api.test_operations import Service
from tests.credits_engine.conftest import LEGACY_SERVES, V2_SERVES, Consumer
from tests.credits_engine.operations.test_consumption import together

TTL = timedelta(minutes=15)


class Reservations:
    """Reservations of ada's credits."""

    def __init__(self, consumer: Consumer) -> None:
        self.consumer = consumer

    def reserve(self, key: str = "r1", analysis: int = 0, roast: int = 0) -> Receipt:
        operation = Operation("ada", key, Amounts(analysis, roast), actor="test", type=EntryType.RESERVE)
        evaluation = V2_SERVES if self.consumer.v2 else LEGACY_SERVES
        with transaction() as session:
            return reservations.reserve(session, operation, now=self.consumer.now, evaluate=lambda _: evaluation)

    def commit(self, key: str = "r1", amounts: Amounts | None = None) -> ReservationResult:
        with transaction() as session:
            return reservations.commit(session, "ada", key, now=self.consumer.now, actor="test", amounts=amounts)

    def release(self, key: str = "r1") -> ReservationResult:
        with transaction() as session:
            return reservations.release(session, "ada", key, now=self.consumer.now, actor="test", reason="Failed.")

    def used(self) -> Amounts:
        both = self.consumer.books("ada")
        assert both.v2.used == both.legacy.used
        with read_only() as session:
            assert reconcile(session).clean
        return both.v2.used


@pytest.fixture
def ada(consumer: Consumer) -> Reservations:
    consumer.user("ada")
    return Reservations(consumer)


def test_what_is_reserved_cannot_be_spent_by_anybody_else(ada: Reservations) -> None:
    assert ada.reserve(analysis=90).outcome is Outcome.ALLOWED
    assert ada.consumer.take("ada", "k1", analysis=11).outcome is Outcome.DENIED_LIMIT
    assert ada.used() == Amounts(90, 0)


def test_a_commit_keeps_everything_by_default(ada: Reservations) -> None:
    ada.reserve(analysis=5, roast=1)
    settled = ada.commit()
    assert (settled.state, settled.committed) == (ReservationState.COMMITTED, Amounts(5, 1))
    assert ada.used() == Amounts(5, 1)


def test_a_commit_of_less_gives_the_rest_back(ada: Reservations) -> None:
    ada.reserve(analysis=5)
    assert ada.commit(amounts=Amounts(2, 0)).committed == Amounts(2, 0)
    assert ada.used() == Amounts(2, 0)


def test_a_commit_of_more_is_refused_and_changes_nothing(ada: Reservations) -> None:
    ada.reserve(analysis=5)
    with pytest.raises(CommitTooLargeError, match="6 analysis can't be committed: 5 analysis were reserved"):
        ada.commit(amounts=Amounts(6, 0))
    assert ada.commit().committed == Amounts(5, 0)


def test_a_release_gives_everything_back(ada: Reservations) -> None:
    ada.reserve(analysis=5, roast=2)
    assert ada.release().state is ReservationState.RELEASED
    assert ada.used() == NOTHING
    assert [row["type"] for row in ada.consumer.journal("ada")] == ["reserve", "release"]


def test_settling_again_in_the_same_way_gets_the_same_answer(ada: Reservations) -> None:
    ada.reserve(analysis=5)
    first = ada.commit(amounts=Amounts(2, 0))
    again = ada.commit(amounts=Amounts(2, 0))
    assert (again.replayed, again.journal_id) == (True, first.journal_id)
    assert ada.used() == Amounts(2, 0)


def test_settling_in_another_way_is_refused(ada: Reservations) -> None:
    ada.reserve(analysis=5)
    ada.commit(amounts=Amounts(2, 0))
    refused: list[Callable[[], object]] = [ada.release, ada.commit, lambda: ada.commit(amounts=Amounts(3, 0))]
    for attempt in refused:
        with pytest.raises(FinalizedDifferentlyError, match="already committed with 2 analysis"):
            attempt()
    assert ada.used() == Amounts(2, 0)


def test_a_refused_reservation_holds_nothing(ada: Reservations) -> None:
    assert ada.reserve(roast=51).outcome is Outcome.DENIED_LIMIT
    with pytest.raises(UnknownReservationError, match="'r1'"):
        ada.commit()
    assert ada.used() == NOTHING


def test_reserving_again_under_the_same_key_holds_once(ada: Reservations) -> None:
    first = ada.reserve(analysis=5)
    assert ada.reserve(analysis=5) == replayed(first)
    assert ada.used() == Amounts(5, 0)
    with pytest.raises(KeyConflictError):
        ada.consumer.take("ada", "r1", analysis=5)


def test_what_is_forgotten_expires_and_comes_back_once(ada: Reservations) -> None:
    ada.reserve(analysis=5)
    assert sweep(ada.consumer.now + TTL - timedelta(microseconds=1)) == 0
    ada.consumer.now += TTL
    with pytest.raises(FinalizedDifferentlyError, match="expired"):
        ada.commit()
    assert (sweep(ada.consumer.now), sweep(ada.consumer.now)) == (1, 0)
    assert ada.used() == NOTHING
    with pytest.raises(FinalizedDifferentlyError, match="already expired"):
        ada.commit()


def test_the_engine_stays_the_one_that_granted_it(ada: Reservations) -> None:
    ada.consumer.v2 = True
    ada.reserve(roast=8)
    ada.consumer.v2 = False
    settled = ada.commit(amounts=Amounts(0, 7))
    assert settled.engine is EngineName.V2
    assert ada.consumer.journal("ada")[-1]["served_engine"] == "v2"


def test_credits_go_back_to_the_periods_that_were_charged(ada: Reservations) -> None:
    ada.consumer.user("ada", anchor=datetime(2026, 1, 20, tzinfo=UTC))
    ada.consumer.now = datetime(2027, 3, 31, 23, 59, tzinfo=UTC)
    ada.reserve(analysis=5)
    ada.consumer.now += timedelta(minutes=5)
    ada.consumer.take("ada", "april", analysis=1)
    ada.release()
    both = ada.consumer.books("ada")
    assert (both.legacy.used, both.v2.used) == (Amounts(1, 0), Amounts(1, 0))
    with read_only() as session:
        assert reconcile(session).clean
    march = [row for row in ada.consumer.journal("ada") if row["type"] == "release"]
    assert march[0]["legacy_period_start"] == datetime(2027, 3, 1, tzinfo=UTC)


def test_a_book_that_was_emptied_meanwhile_never_goes_below_zero(ada: Reservations) -> None:
    ada.reserve(analysis=5)
    with transaction() as session:
        session.execute(update(COUNTERS).values(used=Amounts(analysis=2)))
    ada.release()
    both = ada.consumer.books("ada")
    assert (both.v2.used, both.legacy.used) == (NOTHING, NOTHING)
    assert ada.consumer.journal("ada")[-1]["v2_posted"]["analysis"] == -2


def test_commit_release_and_expiry_at_once_settle_exactly_once(ada: Reservations) -> None:
    for attempt in range(4):
        key = f"r{attempt}"
        ada.reserve(key, analysis=8)

        def settle(number: int, key: str = key) -> Any:
            try:
                match number % 3:
                    case 0:
                        return ada.commit(key).state
                    case 1:
                        return ada.release(key).state
                    case _:
                        with transaction() as session:
                            late = ada.consumer.now + TTL
                            found = reservations.expire(session, "ada", key, now=late)
                        return found.state if found else None
            except FinalizedDifferentlyError:
                return None

        before = ada.consumer.books("ada").v2.used["analysis"] - 8
        answers = {answer for answer in together(ada.consumer, 9, settle) if answer}
        (state,) = answers
        kept = 8 if state is ReservationState.COMMITTED else 0
        assert ada.used() == Amounts(before + kept, 0)


def test_the_three_steps_over_http(consumer: Consumer, settings: Any) -> None:
    consumer.user("ada")
    service = Service(consumer.app, settings)

    def post(step: str, **body: object) -> Any:
        sent = {"userId": "ada", "idempotencyKey": "r1"} | body
        return service.client.post(f"/api/credits/{step}", json=sent, headers=service.headers)

    assert post("commit").get_json()["code"] == "UNKNOWN_RESERVATION"
    assert post("reserve", analysis=5, ttlSeconds=0).get_json()["code"] == "INVALID_TTL"
    reserved = post("reserve", analysis=5, roast=2)
    assert (reserved.status_code, reserved.get_json()["remaining"]["analysis"]) == (200, 95)
    assert post("commit", analysis=9).get_json()["code"] == "COMMIT_TOO_LARGE"
    settled = post("commit", analysis=3).get_json()
    assert (settled["state"], settled["committed"]) == ("committed", {"analysis": 3, "roast": 0})
    assert post("commit", analysis=3).headers["Idempotent-Replayed"] == "true"
    assert (post("release").status_code, post("release").get_json()["code"]) == (409, "RESERVATION_SETTLED")
    status = service.status("ada").get_json()["data"]
    assert (status["analysis"]["used"], status["roast"]["used"]) == (3, 0)
