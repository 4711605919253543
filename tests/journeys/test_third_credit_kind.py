"""A third kind of credits, added from outside: one entry of the catalogue, and rows where a migration adds them."""

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from control_plane import migrations
from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import top_ups, usage_rollup
from credits_engine.administration.top_ups import Purchase
from credits_engine.cli import register
from credits_engine.engines.amounts import KINDS, Amounts, Kind, Limits
from credits_engine.engines.credit_plan import CreditKind
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.pack_prices import find_offer
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plans import CATALOGUE, CatalogueError, register_kind
from credits_engine.engines.receipts import Receipt
from credits_engine.migration.aa_test import run_aa_test
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled, totals
from flags.store import Effect, UserAttributes, put_override
from tests.dashboards.browsing import page_text
from tests.installation import Installation

NOW = datetime.now(UTC)
IMAGE = CreditKind(
    "image",
    v2={"free": 5, "starter": 5, "pro": 50, "plus": 500, "custom": None},
    legacy={"free": 3, "starter": 3, "pro": 50, "plus": 500, "custom": None},
    packs=(20,),
)


@pytest.fixture(autouse=True)
def image(app: Flask) -> Iterator[None]:
    """The kind, and a user whose period was opened before there was such a kind."""
    kinds, catalogue = list(KINDS), dict(vars(CATALOGUE))
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(*(UserAttributes(user, "free", NOW - timedelta(days=90)) for user in ("ada", "bob", "eve")))
    with app.app_context(), transaction() as session:
        put_override(session, FLAG, "eve", Effect.ALLOW, ChangeContext(NOW, "test", "v2"))
    installation.publish()
    with app.app_context():
        take("bob", "before", analysis=1)
        register_kind(IMAGE)
        with transaction() as session:
            session.execute(text("INSERT INTO credit_kind (name, position) VALUES ('image', 3)"))
            if session.get_bind().dialect.name == "postgresql":
                rows = [{"plan": plan, "v2": IMAGE.v2[plan], "legacy": IMAGE.legacy[plan]} for plan in IMAGE.v2]
                session.execute(text("INSERT INTO credit_limit VALUES (:plan, 'image', :v2, :legacy)"), rows)
        yield
    KINDS[:] = kinds
    vars(CATALOGUE).update(catalogue)


def take(user: str, key: str, now: datetime = NOW, **amounts: int) -> Receipt:
    return run_operation(Operation(user, key, Amounts(**amounts), "test"), now=now)


@pytest.fixture
def consume(client: FlaskClient, service_token: str) -> Callable[..., TestResponse]:
    def consume(user: str, key: str, **body: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {service_token}", "Idempotency-Key": key}
        return client.post("/api/credits/consume", json={"userId": user, **body}, headers=headers)

    return consume


def differences() -> int:
    """Count the differences from kept sums as well as from the whole journal."""
    totals.advance()
    return scheduled.check_books(NOW, "schedule").found + scheduled.check_books(NOW, "demand").found


def test_each_plan_grants_it_and_a_pack_of_it_is_on_sale(client: FlaskClient) -> None:
    config = client.get("/api/credits/config").get_json()["data"]
    assert config["creditTypes"] == ["analysis", "roast", "image"]
    assert config["plans"]["pro"]["v2"] == {"analysis": 10_000, "roast": 1_000, "image": 50}
    assert config["plans"]["custom"]["legacy"]["image"] is None
    offer = find_offer("pack_image_20")
    assert offer is not None
    assert (offer.kind, offer.amount) == ("image", 20)
    with pytest.raises(CatalogueError, match="'image' is in the catalogue already"):
        register_kind(IMAGE)


@pytest.mark.parametrize(("user", "serving", "left", "shadowed"), [("ada", "legacy", 1, 3), ("eve", "v2", 3, 1)])
def test_both_engines_decide_it(
    consume: Callable[..., TestResponse], user: str, serving: str, left: int, shadowed: int
) -> None:
    receipt = consume(user, "k1", creditType="image", amount=2).get_json()
    assert (receipt["engine"], receipt["charged"]) == (serving, {"analysis": 0, "roast": 0, "image": 2})
    assert receipt["remaining"]["image"] == left
    again = take(user, "k1", image=2)
    assert again.replayed
    assert again.comparison.variance == "match"
    assert again.shadow.remaining["image"] == shadowed
    mixed = consume(user, "k2", analysis=1, image=2)
    if serving == "v2":
        assert mixed.get_json()["charged"] == {"analysis": 1, "roast": 0, "image": 2}
    else:
        assert (mixed.status_code, mixed.get_json()["code"]) == (402, "INSUFFICIENT_IMAGE_CREDITS")
    refused = take(user, "k2", analysis=1, image=2)
    assert (refused.comparison.variance, refused.comparison.cause) == ("policy", "policy:limit_table")
    assert differences() == 0
    with read_only() as session:
        assert run_aa_test(session, most=10).passed


def test_a_period_from_before_has_the_limit_of_its_plan(consume: Callable[..., TestResponse]) -> None:
    receipt = take("bob", "k1", image=3)
    assert (receipt.served.limits, receipt.shadow.limits) == (Limits(100, 50, 3), Limits(100, 10, 5))
    assert take("bob", "before", analysis=1).replayed
    assert consume("bob", "before", analysis=1, image=0).headers["Idempotent-Replayed"] == "true"
    assert take("bob", "k2", image=1).outcome is Outcome.DENIED_LIMIT
    assert differences() == 0


def test_it_begins_anew_with_the_next_period() -> None:
    take("ada", "k1", image=3)
    after = calendar_month(NOW).end + timedelta(hours=1)
    receipt = take("ada", "k2", now=after, image=3)
    assert (receipt.outcome, receipt.served.used) == (Outcome.ALLOWED, Amounts())
    assert differences() == 0


def test_a_pack_of_it_is_spent_after_the_plan(consume: Callable[..., TestResponse]) -> None:
    with transaction() as session:
        purchase = Purchase("ada", Kind("image"), 20, NOW + timedelta(days=9))
        top_ups.top_up(session, purchase, ChangeContext(NOW, "test", "Bought."))
    receipt = consume("ada", "k1", creditType="image", amount=7).get_json()
    assert receipt["fromPacks"] == {"analysis": 0, "roast": 0, "image": 4}
    assert receipt["remaining"]["image"] == 16
    assert differences() == 0


def test_people_and_programs_see_it(sign_in: Callable[[str], FlaskClient]) -> None:
    take("ada", "k1", image=2)
    take("ada", "k2", analysis=4, image=2)
    alice = sign_in("alice")
    page = page_text(alice.get("/credits?user=ada").get_data(as_text=True))
    assert "Image 2 of 3 1 left." in page
    assert "Image credits" in page
    account = alice.get("/api/admin/credits/users/ada").get_json()
    assert account["books"]["v2"]["image"] == {"used": 2, "limit": 5, "bought": 0, "remaining": 3}
    assert account["journal"]["entries"][-1]["requested"] == {"analysis": 0, "roast": 0, "image": 2}
    sheet = alice.get("/api/admin/credits/variances?format=csv").get_data(as_text=True)
    (row,) = csv.DictReader(io.StringIO(sheet))
    assert (row["requested.image"], row["v2.limit.image"], row["legacy.limit.image"]) == ("2", "5", "3")
    usage_rollup.roll_up_usage()
    (day,) = (each for each in alice.get("/api/admin/credits/analytics?by=engine").get_json()["days"])
    assert (day["image_operations"], day["image"], day["analysis"]) == (1, 2, 1)


def test_an_operator_gives_it_back(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    take("ada", "k1", image=2)
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(settings.instance_dir))
    rollout = click.Group()
    register(rollout)
    done = CliRunner().invoke(rollout, ["credits", "adjust", "ada", "--image", "1", "--reason", "Sorry."])
    assert done.exit_code == 0, done.output
    assert take("ada", "k2", image=2).outcome is Outcome.ALLOWED
    assert differences() == 0


@pytest.mark.database("postgresql")
def test_the_guides_function_knows_it() -> None:
    with transaction() as session:
        receipt = session.execute(text("SELECT consume_credits('ada', 'image', 2)")).scalar_one()
    assert (receipt["charged"]["image"], receipt["limit"]["image"], receipt["remaining"]["image"]) == (2, 3, 1)
    assert differences() == 0


@pytest.mark.database("postgresql")
def test_a_kind_whose_rows_are_missing_is_never_unlimited() -> None:
    with transaction() as session:
        session.execute(text("DELETE FROM credit_limit WHERE kind = 'image'"))
    assert take("ada", "k1", image=1).outcome is Outcome.DENIED_LIMIT
    with transaction() as session:
        session.execute(text("DELETE FROM credit_kind WHERE name = 'image'"))
    assert take("ada", "k2", image=1).outcome is Outcome.ERROR
    assert differences() == 0


def test_a_version_without_it_refuses_to_lose_it() -> None:
    with pytest.raises(RuntimeError, match="here are analysis, roast, image"):
        migrations.downgrade("0021")
