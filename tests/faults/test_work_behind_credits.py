"""Views that cost credits where these are held: what fails around v2 there, and what fails in the work itself."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from flask import Flask

from alerts.analysis.attribution import Attribution
from control_plane.core.phases import Position, RolloutState
from control_plane.platform.settings import Settings
from credits_engine.middleware import require_analysis_credits
from tests.faults.product import EVERY, USERS, Product

pytestmark = [pytest.mark.faults, pytest.mark.database("sqlite")]  # faults are put in by name

EVERYBODY = Position(3, 3)
SERVING = "credit_serving_failure"
REQUESTS = 40


class Shop:
    """A view whose work costs a credit, and the product behind it."""

    def __init__(self, product: Product, app: Flask, secret: str) -> None:
        self.product, self.status, self._secret = product, 200, secret
        app.add_url_rule("/api/work", "work", require_analysis_credits(1)(self.work), methods=["POST"])

    def work(self) -> tuple[str, int]:
        if not self.status:
            raise RuntimeError
        return "done", self.status

    def operate(self, requests: int = REQUESTS) -> None:
        """Ask for the work, one user after the other, and let the guard look."""
        expires = datetime.now(UTC) + timedelta(minutes=5)
        for number in range(requests):
            token = jwt.encode({"sub": f"u{number % USERS}", "exp": expires}, self._secret, "HS256")
            self.product.client.post("/api/work", headers={"Authorization": f"Bearer {token}"})
            if number % EVERY == EVERY - 1:
                self.product.watch()


@pytest.fixture
def shop(app: Flask, settings: Settings, service_token: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Everybody is on v2, so that nothing that legacy serves can tell whose fault it is."""
    with app.app_context():
        yield Shop(Product(app, monkeypatch, service_token, EVERYBODY), app, settings.user_jwt_secret)


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize(
    ("crashes", "state", "attribution"),
    [
        (lambda _engine: True, RolloutState.HELD, Attribution.SHARED),
        (lambda engine: engine == "v2", RolloutState.ROLLED_BACK, Attribution.CANDIDATE_ONLY),
    ],
)
def test_what_cant_be_settled_after_the_work_is_tried_with_legacy(
    shop: Shop, status: int, crashes: Callable[[str], bool], state: RolloutState, attribution: Attribution
) -> None:
    shop.operate()
    shop.status = status  # so it is committed, or released
    shop.product.crash_settling(crashes)
    shop.operate()
    assert shop.product.rollout.state is state
    assert shop.product.verdict("api_error_rate").attribution is attribution


@pytest.mark.parametrize("status", [0, 500])
def test_work_that_fails_is_no_failure_of_the_engine_that_granted_its_credits(shop: Shop, status: int) -> None:
    shop.operate()
    shop.status = status
    shop.operate()
    assert shop.product.rollout.state is RolloutState.HELD
    counts = shop.product.verdict(SERVING).counts
    assert (counts.bad, counts.total) == (0, 2 * REQUESTS)
