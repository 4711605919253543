"""Whose fault it is, on the whole product: v2's own faults roll it back, and nobody else's do."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from alerts.analysis.attribution import Attribution
from alerts.analysis.verdicts import Status
from alerts.notifications import store as notices
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import blast_radius
from credits_engine.administration import organisations
from credits_engine.api import serializers
from credits_engine.api.serializers import Document
from credits_engine.engines import legacy, v2
from credits_engine.engines.decisions import EngineName
from credits_engine.operations.account_books import Books
from credits_engine.store.tables import RESERVATIONS
from tests.faults.product import Product, always, failing, one_in, overcharging, share_of_users

pytestmark = [pytest.mark.faults, pytest.mark.database("sqlite")]  # on PostgreSQL the engines are the database's

TENTH, HALF, EVERYBODY = Position(3, 0), Position(3, 2), Position(3, 3)
ERRORS, FAILURE, VARIANCE = "api_error_rate", "credit_consumption_failure", "credit_variance"
SERVING = "credit_serving_failure"


@pytest.fixture
def begin(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Position], Product]]:
    with app.app_context():
        yield lambda position: Product(app, monkeypatch, service_token, position)


Begin = Callable[[Position], Product]


def test_v2_failing_alone_is_rolled_back_within_a_few_operations(begin: Begin) -> None:
    product = begin(HALF)
    product.engines(v2=failing(v2.decide, always))
    product.operate(10)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    assert "v2 alone is to blame" in product.rollout.state_reason


@pytest.mark.parametrize("position", [TENTH, HALF, EVERYBODY])
@pytest.mark.parametrize("healthy", [0, 100])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_engines_that_both_fail_the_same_users_are_held(
    begin: Begin, position: Position, healthy: int, share: float
) -> None:
    product = begin(position)
    product.operate(healthy)
    fails = share_of_users(share)
    product.engines(v2=failing(v2.decide, fails), legacy_engine=failing(legacy.decide, fails))
    product.operate(150)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)


@pytest.mark.parametrize("position", [TENTH, HALF])
@pytest.mark.parametrize("every", [1, 3, 20])
def test_nobody_is_sent_to_a_legacy_that_fails_alone(begin: Begin, position: Position, every: int) -> None:
    product = begin(position)
    product.operate(100)
    product.engines(legacy_engine=failing(legacy.decide, one_in(every)))
    product.operate(300)
    assert product.rollout.state is not RolloutState.ROLLED_BACK
    if every == 1:
        assert "it is legacy that fails" in product.verdict(ERRORS).reason


def test_a_legacy_that_fails_where_it_serves_nobody_is_told(begin: Begin) -> None:
    """There is no way back to it, and no comparison guards v2 any more."""
    product = begin(EVERYBODY)
    product.operate(50)
    product.engines(legacy_engine=failing(legacy.decide, always))
    product.operate(50)
    assert product.rollout.state is RolloutState.RUNNING
    with read_only() as session:
        told = [notice.title for notice, _ in notices.latest(session, limit=10) if notice.kind == "concern"]
    assert any(each.startswith("credit_shadow_skipped: legacy gave no answer to ") for each in told)


@pytest.mark.parametrize("position", [HALF, EVERYBODY])
def test_a_database_that_does_not_answer_holds_and_is_told(begin: Begin, position: Position) -> None:
    product = begin(position)
    product.operate(50)
    product.lose_database()
    product.operate(100)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)
    assert "The database did not answer" in product.rollout.state_reason
    assert product.verdict(ERRORS).counts.bad == 0


@pytest.mark.parametrize("key", ["the-same", None])
def test_one_account_that_fails_is_one_failure_however_often_it_asks(begin: Begin, key: str | None) -> None:
    product = begin(EVERYBODY)
    product.operate(200)
    product.engines(v2=failing(v2.decide, lambda request: request.user_id == "u7"))
    product.operate(100, user="u7", key=key)
    assert product.rollout.state is RolloutState.RUNNING
    assert (product.verdict(ERRORS).counts.bad, product.verdict(FAILURE).counts.bad) == (1, 1)


@pytest.mark.parametrize("position", [HALF, EVERYBODY])
def test_an_organisation_that_fails_is_one_account_however_many_its_members_are(
    begin: Begin, position: Position
) -> None:
    product = begin(position)
    now = product.now - 2 * organisations.LEAD
    with transaction() as session:
        for number in range(20):
            organisations.add(session, f"u{number}", "u399", {}, ChangeContext(now, "alice", "A test."))
    organisations.reload(now)
    product.operate(100)
    product.crash(lambda _engine: True, users="u399")
    for number in range(60):
        product.ask(f"u{number % 20}")
        product.client.get(f"/api/user/credits/status?userId=u{number % 20}", headers=product.headers)
    product.watch()
    assert product.rollout.state is RolloutState.RUNNING
    assert product.verdict(ERRORS).counts.bad == 1


def test_what_fails_around_v2_alone_is_rolled_back_although_its_engine_answers(begin: Begin) -> None:
    product = begin(HALF)
    product.operate(100)
    product.crash(lambda engine: engine == "v2")
    product.operate(100)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    assert product.rollout.state_reason.startswith(ERRORS)


@pytest.mark.parametrize("crashes", [lambda _engine: True, lambda engine: engine == "legacy"])
def test_what_fails_around_both_or_around_legacy_is_held(begin: Begin, crashes: Callable[[str], bool]) -> None:
    product = begin(HALF)
    product.operate(100)
    product.crash(crashes)
    product.operate(150)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)


@pytest.mark.parametrize("path", ["consume", "reserve"])
@pytest.mark.parametrize("healthy", [0, 100])
def test_what_fails_around_both_is_held_where_legacy_serves_nobody(begin: Begin, path: str, healthy: int) -> None:
    """Legacy is asked once more what it would have done, and undone."""
    product = begin(EVERYBODY)
    product.operate(healthy)
    product.crash(lambda _engine: True)
    product.operate(60) if path == "consume" else product.operate_reservations(60)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)
    assert {product.verdict(each).attribution for each in (ERRORS, SERVING)} == {Attribution.SHARED}
    assert "legacy fails as well" in product.verdict(SERVING).reason


def test_what_fails_around_v2_alone_is_rolled_back_where_legacy_serves_nobody(begin: Begin) -> None:
    product = begin(EVERYBODY)
    product.operate(100)
    product.crash(lambda engine: engine == "v2")
    product.operate(60)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    assert "v2 alone is to blame" in product.rollout.state_reason


@pytest.mark.parametrize("path", ["commit", "release"])
@pytest.mark.parametrize("healthy", [0, 40])
def test_reservations_that_neither_engine_could_settle_are_held(begin: Begin, path: str, healthy: int) -> None:
    product = begin(EVERYBODY)
    product.operate_settlements(healthy, path)
    product.crash_settling(lambda _engine: True)
    product.operate_settlements(40, path)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)
    assert product.verdict(SERVING).attribution is Attribution.SHARED
    assert "legacy fails as well" in product.verdict(SERVING).reason
    with read_only() as session:
        pending = session.execute(select(RESERVATIONS.c.engine).filter_by(state="pending")).scalars().all()
    assert pending == ["v2"] * 40, "what legacy was tried with is undone"


@pytest.mark.parametrize("path", ["commit", "release"])
def test_reservations_that_v2_alone_can_t_settle_are_rolled_back(begin: Begin, path: str) -> None:
    product = begin(EVERYBODY)
    product.operate_settlements(40, path)
    product.crash_settling(lambda engine: engine == "v2")
    product.operate_settlements(40, path)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    assert "v2 alone is to blame" in product.rollout.state_reason


def test_v2_charging_wrongly_is_rolled_back(begin: Begin) -> None:
    product = begin(TENTH)
    product.engines(v2=overcharging(v2.decide, one_in(5)))
    product.operate(100)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    assert product.rollout.state_reason.startswith(VARIANCE)


def test_what_v2_took_too_much_is_said_with_the_rollback(begin: Begin) -> None:
    product = begin(EVERYBODY)
    product.engines(v2=overcharging(v2.decide, one_in(2)))
    product.operate(100)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    with read_only() as session:
        due = blast_radius.compensation_due(session, FLAG, product.now)
    assert due.users == due.credits > 1, "one credit of each"
    said = f"differently by v2. {due.users} users are owed {due.credits} credits so far. "
    assert said in product.rollout.state_reason


@pytest.mark.parametrize("position", [TENTH, EVERYBODY])
def test_legacy_charging_wrongly_is_held_and_named(begin: Begin, position: Position) -> None:
    product = begin(position)
    product.engines(legacy_engine=overcharging(legacy.decide, one_in(3)))
    product.operate(200)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)
    assert "Legacy is at fault in" in product.rollout.state_reason
    assert product.verdict(VARIANCE).counts.bad == 0


def test_v2_is_still_judged_while_legacy_charges_wrongly(begin: Begin) -> None:
    product = begin(TENTH)
    product.engines(v2=overcharging(v2.decide, one_in(4)), legacy_engine=overcharging(legacy.decide, one_in(3)))
    product.operate(100)
    assert product.rollout.state is RolloutState.ROLLED_BACK


@pytest.mark.parametrize("position", [TENTH, HALF, EVERYBODY])
def test_of_an_outage_that_both_have_no_two_alerts_say_different_things(begin: Begin, position: Position) -> None:
    product = begin(position)
    product.operate(50)
    product.engines(v2=failing(v2.decide, always), legacy_engine=failing(legacy.decide, always))
    for _ in range(8):
        product.operate(5)
        acting = [each for each in product.verdicts() if each.status in (Status.HOLD, Status.ROLLBACK)]
        known = {each.attribution for each in acting if each.alert in (ERRORS, FAILURE, SERVING)}
        assert len(known) <= 1, [each.reason for each in acting]
    assert known == {Attribution.SHARED}
    assert "not known" not in product.rollout.state_reason
    assert "can't tell" not in product.rollout.state_reason


@pytest.mark.parametrize(
    ("engines", "state"), [(("v2",), RolloutState.ROLLED_BACK), (("v2", "legacy"), RolloutState.HELD)]
)
def test_readings_that_fail_where_legacy_serves_nobody_are_tried_with_legacy(
    begin: Begin, engines: tuple[str, ...], state: RolloutState
) -> None:
    product = begin(EVERYBODY)
    product.operate(60)
    document = serializers.status_document

    def failing_for(books: Books, engine: EngineName) -> Document:
        if engine.value in engines:
            raise RuntimeError
        return document(books, engine)

    product.patch.setattr(serializers, "status_document", failing_for)
    for number in range(60):
        product.client.get(f"/api/user/credits/status?userId=u{number}", headers=product.headers)
        if number % 5 == 0:
            product.watch()
    assert product.rollout.state is state
