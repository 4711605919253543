"""A fault for a part of the users, on the whole product: that part is named, and single accounts move nothing."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from flask import Flask

from alerts.analysis.verdicts import Status
from alerts.notifications import store as notices
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines import v2
from credits_engine.engines.decisions import Book, Decision, Request
from credits_engine.engines.plans import CATALOGUE
from flags.store import UserAttributes, upsert_users
from tests.faults.product import Fails, Product, failing

pytestmark = [pytest.mark.faults, pytest.mark.database("sqlite")]  # on PostgreSQL the engines are the database's

HALF = Position(3, 2)
FAILURE, VARIANCE = "credit_consumption_failure", "credit_variance"
FEW = 6


@pytest.fixture
def product(app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    """Half of everyone has v2; a few are on another plan, and much healthy traffic came before."""
    with app.app_context():
        found = Product(app, monkeypatch, service_token, HALF)
        with transaction() as session:
            joined = found.now - timedelta(days=90)
            users = [UserAttributes(f"s{number}", "starter", joined) for number in range(FEW)]
            upsert_users(session, users, now=found.now)
        found.operate(400)
        yield found


def of_plan(request: Request) -> bool:
    return request.user_id.startswith("s")


def of_kind(request: Request) -> bool:
    return bool(request.amounts["roast"])


def near_limit(book: Book, request: Request) -> Decision:
    limit = book.limits["analysis"]
    if limit is not None and book.used["analysis"] + request.amounts["analysis"] > limit - 50:
        raise ValueError
    return v2.decide(book, request)


def ask_each(product: Product, rounds: int, ask: Callable[[int], object]) -> int:
    """Let each of few users ask in turn, between others; how many of theirs it took until the guard acted."""
    asked = 0
    for round_ in range(rounds):
        for number in range(FEW):
            ask(number)
            asked += 1
            product.operate(4, user=f"u{(round_ * FEW + number) % 300}")
            product.watch()
            if product.rollout.state is not RolloutState.RUNNING:
                return asked
    return asked


def stopped_for(product: Product, alert: str = FAILURE) -> str:
    verdict = product.verdict(alert)
    assert verdict.status in {Status.HOLD, Status.ROLLBACK}
    return verdict.cohort


@pytest.mark.parametrize(
    ("fails", "user", "kind", "cohort"),
    [(of_plan, "s", "analysis", "of plan starter"), (of_kind, "u", "roast", "of kind roast")],
)
def test_a_part_for_which_v2_always_fails_is_stopped_and_named(
    product: Product, fails: Fails, user: str, kind: str, cohort: str
) -> None:
    product.engines(v2=failing(v2.decide, fails))
    assert ask_each(product, 2, lambda number: product.ask(f"{user}{number}", kind=kind)) <= 10
    assert cohort in stopped_for(product)
    assert stopped_for(product).endswith(" failed in v2.")
    assert stopped_for(product) in product.rollout.state_reason
    with read_only() as session:
        change = next(entry for entry in audit.latest(session, subject=f"rollout:{FLAG}", limit=5) if entry.after)
        (notice, _), *_ = notices.latest(session, limit=1)
    assert change.after is not None
    assert any(each.get("cohort") == stopped_for(product) for each in change.after["evidence"]["verdicts"])
    assert stopped_for(product) in notice.body


def test_whoever_comes_near_a_limit_is_a_part_as_well(product: Product) -> None:
    product.engines(v2=near_limit)
    limit = CATALOGUE.plan("plus").legacy["analysis"]
    assert limit is not None
    for number in range(FEW):
        product.ask(f"u{300 + number}", amount=limit - 60)
    product.watch()
    assert product.rollout.state is RolloutState.RUNNING
    ask_each(product, 2, lambda number: product.ask(f"u{300 + number}", amount=20))
    assert "near the limit" in stopped_for(product)


def test_users_for_whom_v2_always_fails_are_named_though_they_share_nothing(product: Product) -> None:
    unlucky = {f"u{number}" for number in range(310, 313)}
    product.engines(v2=failing(v2.decide, lambda request: request.user_id in unlucky))
    for round_ in range(8):
        for user in sorted(unlucky):
            product.ask(user)
        product.operate(40, user=f"u{round_}")
    assert "of accounts that had failed before failed in v2." in stopped_for(product)


def test_one_broken_account_is_told_and_moves_nothing(product: Product) -> None:
    product.engines(v2=failing(v2.decide, lambda request: request.user_id == "s0"))
    for _ in range(60):
        product.ask("s0")
        product.operate(2)
    product.watch()
    assert product.rollout.state is RolloutState.RUNNING
    verdict = product.verdict(FAILURE)
    assert (verdict.status, verdict.notifies) == (Status.WATCH, True)
    assert "operations of account " in verdict.cohort
    with read_only() as session:
        told = [notice for notice, _ in notices.latest(session, limit=10) if notice.kind == "concern"]
    assert any(notice.title.startswith(f"{FAILURE}: ") and "s0" not in notice.body for notice in told)


def test_a_part_that_fails_around_the_engine_is_named_too(product: Product) -> None:
    """The engine is never asked for its opinion of these failures; the plan is known from the routing."""
    product.crash(lambda engine: engine == "v2", users="s")
    ask_each(product, 40, lambda number: product.ask(f"s{number}"))
    assert product.rollout.state is not RolloutState.RUNNING
    assert "of plan starter" in stopped_for(product, "credit_serving_failure")
