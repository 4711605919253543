"""Packs on a real database: spent after the plan by either engine, returned where they came from, never lost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import top_ups
from credits_engine.administration.corrections import CorrectionRefused
from credits_engine.administration.top_ups import Purchase, TopUp
from credits_engine.engines.amounts import Amounts, Kind
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.packs import Allocation
from credits_engine.engines.receipts import replayed
from credits_engine.expiry_jobs import sweep_packs
from credits_engine.operations.consumption import KeyConflictError
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store import packs
from tests.credit_kinds import ROAST
from tests.credits_engine.api.test_administration import Admin, admin, found
from tests.credits_engine.api.test_operations import Service
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.operations.test_consumption import together
from tests.credits_engine.operations.test_reservations import Reservations

__all__ = ["admin"]


def buy(consumer: Consumer, amount: int, kind: Kind = ROAST, *, days: float = 30, key: str | None = None) -> TopUp:
    purchase = Purchase("ada", kind, amount, consumer.now + timedelta(days=days))
    with transaction() as session:
        return top_ups.top_up(session, purchase, ChangeContext(consumer.now, "test", "Bought."), key=key)


def held(consumer: Consumer) -> list[tuple[int, int]]:
    """Number and rest of each usable pack."""
    return [(pack.id, pack.remaining) for pack in consumer.books("ada").packs]


def assert_whole() -> None:
    with read_only() as session:
        found = reconcile(session)
    assert found.clean, (found.differences, found.packs)


@pytest.fixture
def ada(consumer: Consumer) -> Consumer:
    consumer.user("ada")
    consumer.v2 = True
    return consumer


def test_a_pack_is_spent_after_the_plan_and_neither_book_counts_it(ada: Consumer) -> None:
    buy(ada, 5)
    receipt = ada.take("ada", "k1", roast=12)
    assert (receipt.outcome, receipt.charged, receipt.spent_from_packs) == (
        Outcome.ALLOWED,
        Amounts(0, 12),
        Amounts(0, 2),
    )
    assert (receipt.served.remaining["roast"], receipt.shadow.remaining["roast"]) == (3, 43)
    both = ada.books("ada")
    assert both.v2.used == both.legacy.used == Amounts(0, 10)
    assert held(ada) == [(1, 3)]
    assert ada.take("ada", "k1", roast=12) == replayed(receipt)
    assert ada.take("ada", "k2", roast=4).outcome is Outcome.DENIED_LIMIT
    assert ada.take("ada", "k3", roast=3).outcome is Outcome.ALLOWED
    assert held(ada) == []
    assert_whole()


def test_the_pack_that_expires_soonest_is_spent_first(ada: Consumer) -> None:
    buy(ada, 5, days=30)
    buy(ada, 5, days=10)
    ada.take("ada", "k1", roast=17)
    assert held(ada) == [(1, 3)]
    assert_whole()


def test_a_rollback_at_any_instant_leaves_the_packs_as_they_are(ada: Consumer) -> None:
    buy(ada, 20)
    ada.take("ada", "k1", roast=15)
    before = held(ada)
    ada.v2 = False
    assert held(ada) == before == [(1, 15)]
    assert ada.take("ada", "k2", roast=40).spent_from_packs == Amounts()
    assert ada.take("ada", "k3", roast=15).spent_from_packs == Amounts(0, 15)
    ada.v2 = True
    assert ada.take("ada", "k4", roast=1).outcome is Outcome.DENIED_LIMIT
    assert_whole()


def test_what_the_other_engine_granted_past_the_limit_costs_no_pack(ada: Consumer) -> None:
    buy(ada, 5)
    ada.v2 = False
    ada.take("ada", "k1", roast=30)
    ada.v2 = True
    assert ada.take("ada", "k2", roast=5).spent_from_packs == Amounts(0, 5)
    assert ada.take("ada", "k3", roast=1).outcome is Outcome.DENIED_LIMIT
    assert_whole()


def test_a_new_period_renews_the_plan_and_keeps_the_pack(ada: Consumer) -> None:
    buy(ada, 5, days=60)
    ada.take("ada", "k1", roast=12)
    ada.now += timedelta(days=31)
    assert ada.take("ada", "k2", roast=10).spent_from_packs == Amounts()
    assert held(ada) == [(1, 3)]


def test_an_upgrade_counts_only_what_the_plan_paid(ada: Consumer) -> None:
    buy(ada, 50)
    ada.take("ada", "k1", roast=40)
    ada.user("ada", "pro")
    assert ada.books("ada").v2.used == Amounts(0, 10)
    assert ada.take("ada", "k2", roast=990).spent_from_packs == Amounts()
    assert held(ada) == [(1, 20)]


def test_a_pack_ends_at_its_instant_and_that_is_journalled_once(ada: Consumer) -> None:
    buy(ada, 5, days=1)
    ada.now += timedelta(days=1)
    assert ada.take("ada", "k1", roast=11).outcome is Outcome.DENIED_LIMIT
    assert (sweep_packs(ada.now - timedelta(microseconds=1)), sweep_packs(ada.now), sweep_packs(ada.now)) == (0, 1, 0)
    (row,) = [row for row in ada.journal("ada") if row["type"] == "pack_expire"]
    assert (row["requested"]["roast"], row["context"]) == (-5, {"pack": 1})
    assert_whole()


def test_a_key_buys_once_and_another_purchase_under_it_is_refused(ada: Consumer) -> None:
    first = buy(ada, 5, key="b1")
    again = buy(ada, 5, key="b1")
    assert (again.replayed, again.journal_id, again.pack) == (True, first.journal_id, first.pack)
    with pytest.raises(KeyConflictError, match="'b1'"):
        buy(ada, 6, key="b1")
    assert held(ada) == [(1, 5)]


def test_a_pack_that_would_have_expired_is_refused(ada: Consumer) -> None:
    with pytest.raises(CorrectionRefused, match="later end"):
        buy(ada, 5, days=-1)


def test_a_revoked_pack_ends_at_once_and_takes_back_what_a_reservation_held(ada: Consumer) -> None:
    desk = Reservations(ada)
    buy(ada, 5)
    desk.reserve(roast=12)
    with transaction() as session:
        done = top_ups.revoke(session, 1, ChangeContext(ada.now, "test", "Refunded."))
    assert (done.moved, done.pack.remaining) == (-3, 0)
    desk.release()
    assert held(ada) == []
    assert sweep_packs(ada.now) == 1
    assert_whole()
    with pytest.raises(CorrectionRefused, match="expired at"), transaction() as session:
        top_ups.revoke(session, 1, ChangeContext(ada.now, "test", "Again."))


def test_a_release_returns_credits_to_the_packs_they_came_from(ada: Consumer) -> None:
    desk = Reservations(ada)
    buy(ada, 5, days=10)
    buy(ada, 5, days=20)
    desk.reserve(roast=17)
    assert held(ada) == [(2, 3)]
    ada.v2 = False
    desk.release()
    assert held(ada) == [(1, 5), (2, 5)]
    assert desk.used() == Amounts()


def test_a_commit_of_less_leaves_what_that_much_alone_would_have_left(ada: Consumer) -> None:
    desk = Reservations(ada)
    buy(ada, 5, days=10)
    buy(ada, 5, days=20)
    desk.reserve(roast=17)
    desk.commit(amounts=Amounts(0, 12))
    assert (held(ada), desk.used()) == ([(1, 3), (2, 5)], Amounts(0, 10))
    (row,) = [row for row in ada.journal("ada") if row["type"] == "commit"]
    assert row["context"] == {"drawn": [0, -5]}


def test_many_race_for_the_last_credit_of_a_pack_and_one_gets_it(ada: Consumer) -> None:
    ada.take("ada", "all", roast=10)
    buy(ada, 1)
    answers = together(ada, 8, lambda number: ada.take("ada", f"k{number}", roast=1).outcome)
    assert answers.count(Outcome.ALLOWED) == 1
    assert held(ada) == []
    assert_whole()


def test_a_pack_that_does_not_hold_what_moved_it_is_found(ada: Consumer) -> None:
    buy(ada, 5)
    with transaction() as session:
        session.execute(text("UPDATE credit_pack SET remaining = 4"))
    with read_only() as session:
        result = reconcile(session)
    assert (result.clean, result.packs) == (False, (1,))


@pytest.mark.parametrize("change", ["UPDATE credit_pack_entry SET amount = 9", "DELETE FROM credit_pack_entry"])
def test_what_moved_a_pack_cannot_be_changed(ada: Consumer, change: str) -> None:
    buy(ada, 5)
    with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
        session.execute(text(change))


def test_a_pack_never_holds_less_than_nothing(ada: Consumer) -> None:
    done = buy(ada, 5)
    with pytest.raises(DBAPIError), transaction() as session:
        packs.move(session, "ada", 99, (Allocation(done.pack.id, ROAST, -6),))


def test_administrators_give_and_revoke_packs_and_users_see_them(
    admin: Admin, consumer: Consumer, settings: Any
) -> None:
    expires = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    body = {"userId": "ada", "creditType": "roast", "amount": 5, "expiresAt": expires, "reason": "Invoice 7"}
    first = admin.post("top-ups", **body, idempotencyKey="b1")
    assert found(first)["remaining"] == 5
    assert admin.post("top-ups", **body, idempotencyKey="b1").headers["Idempotent-Replayed"] == "true"
    assert admin.post("top-ups", **body | {"expiresAt": "tomorrow"}).get_json()["code"] == "INVALID_EXPIRY"
    assert admin.post("top-ups", **body | {"amount": 0}).get_json()["code"] == "INVALID_AMOUNT"
    service = Service(consumer.app, settings)
    status = service.status("ada").get_json()["data"]
    assert (status["roast"]["bought"], status["roast"]["remaining"], len(status["packs"])) == (5, 55, 1)
    assert found(admin.get("users/ada"))["books"]["v2"]["packs"] == status["packs"]
    pack_id = status["packs"][0]["packId"]
    assert found(admin.post("top-ups/revoke", packId=pack_id, reason="Refunded"))["moved"] == -5
    assert admin.post("top-ups/revoke", packId=999, reason="Refunded").get_json()["code"] == "UNKNOWN_PACK"


def test_shadow_and_served_know_the_same_packs(ada: Consumer) -> None:
    buy(ada, 5)
    receipt = ada.take("ada", "k1", roast=15)
    assert receipt.shadow.outcome is Outcome.ALLOWED
    assert receipt.comparison.variance == "match"
