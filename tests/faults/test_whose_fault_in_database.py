"""The same where the engines are the database's: a real lock, judges that raise, and the guard."""

import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import text

from control_plane.core.phases import Position, RolloutState
from control_plane.platform.db.database import transaction
from tests.credits_engine.operations.test_stored_procedure import broken
from tests.faults.product import Product

pytestmark = pytest.mark.database("postgresql")

CALLERS = 12
REFUSED = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF {condition} THEN RAISE EXCEPTION 'no such column'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON credit_journal FOR EACH ROW EXECUTE FUNCTION refuse()
"""


def alter(statements: str) -> None:
    """Change the schema under the program."""
    with transaction() as session:
        for statement in statements.split(";\nCREATE"):
            prefix = "" if statement.strip().startswith(("CREATE", "ALTER")) else "CREATE"
            session.execute(text(prefix + statement))


@pytest.fixture
def product(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """Half of everyone is on v2, and all is well for a while."""
    with app.app_context():
        product = Product(app, monkeypatch, service_token, Position(3, 2))
        product.operate(60)
        yield product


@pytest.fixture
def everybody(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """Everyone is on v2, and all is well for a while."""
    with app.app_context():
        product = Product(app, monkeypatch, service_token, Position(3, 3))
        product.operate(60)
        yield product


def test_a_judge_of_v2_that_raises_is_rolled_back(product: Product) -> None:
    broken("credit_judge_v2")
    product.operate(60)
    assert product.rollout.state is RolloutState.ROLLED_BACK


@pytest.mark.parametrize("judges", [("credit_judge_v2", "credit_judge_legacy"), ("credit_judge_legacy",)])
def test_both_or_legacy_alone_are_held(product: Product, judges: tuple[str, ...]) -> None:
    for judge in judges:
        broken(judge)
    product.operate(100)
    assert (product.rollout.state, product.rollout.held_by_guard) == (RolloutState.HELD, True)


def test_a_lock_that_somebody_holds_rolls_nothing_back(app: Flask, product: Product) -> None:
    statuses = []

    def ask(number: int) -> None:
        body = {"userId": f"u{number}", "creditType": "analysis", "amount": 1}
        headers = product.headers | {"Idempotency-Key": f"locked-{number}"}
        statuses.append(app.test_client().post("/api/credits/consume", json=body, headers=headers).status_code)

    callers = [threading.Thread(target=ask, args=[number]) for number in range(CALLERS)]
    with transaction() as session:
        session.execute(text("LOCK TABLE usage_counters IN EXCLUSIVE MODE"))
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    product.watch()
    assert statuses == [503] * CALLERS
    assert product.rollout.state is not RolloutState.ROLLED_BACK
    assert product.verdict("api_error_rate").counts.bad == 0


def test_a_write_path_that_fails_for_v2_alone_is_rolled_back(product: Product) -> None:
    """The engines answer, and the one statement fails all the same: nobody told which of them had served."""
    alter(REFUSED.format(condition="NEW.served_engine = 'v2'"))
    product.operate(60)
    assert product.rollout.state is RolloutState.ROLLED_BACK
    assert "v2 alone is to blame" in product.rollout.state_reason


ALTERATIONS = {
    "a table that is gone": "ALTER TABLE credit_journal RENAME TO gone",
    "a column that is gone": "ALTER TABLE usage_counters RENAME used TO gone",
    "a write path that fails": REFUSED.format(condition="true"),
    "a write path that fails for v2": REFUSED.format(condition="NEW.served_engine = 'v2'"),
}


@pytest.mark.parametrize("alteration", ["a table that is gone", "a column that is gone", "a write path that fails"])
def test_what_every_request_meets_is_held_where_legacy_serves_nobody(everybody: Product, alteration: str) -> None:
    alter(ALTERATIONS[alteration])
    everybody.operate(60)
    assert everybody.rollout.state is not RolloutState.ROLLED_BACK
    assert everybody.rollout.held_by_guard


def test_a_write_path_that_fails_for_v2_alone_is_rolled_back_where_legacy_serves_nobody(everybody: Product) -> None:
    alter(ALTERATIONS["a write path that fails for v2"])
    everybody.operate(60)
    assert everybody.rollout.state is RolloutState.ROLLED_BACK
    assert "v2 alone is to blame" in everybody.rollout.state_reason
