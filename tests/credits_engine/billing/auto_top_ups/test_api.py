"""An account says what is bought for it by itself, sees what came of it, and takes it back."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.settings import Settings
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY
from credits_engine.operations import members
from tests.credits_engine import organisation
from tests.credits_engine.billing.auto_top_ups.conftest import PACK, PRICE, PackBuyer

PATH = "/api/user/credits/auto-top-up"
WANTED = {"price": PRICE, "below": 20, "maxPerPeriod": 2}
SECRET = "a secret that the product and the tests share"

DAY = timedelta(days=1)
Ask = Callable[..., TestResponse]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which the product's users may come by themselves."""
    return replace(settings, user_jwt_secret=SECRET)


@pytest.fixture
def ask(client: FlaskClient) -> Ask:
    """Ask as a user of the product."""

    def ask(method: str, body: object = None, *, user: str = "ada", token: str = "", query: str = "") -> TestResponse:
        own = jwt.encode({"sub": user, "exp": int(time.time()) + 600}, SECRET, "HS256")
        headers = {"Authorization": f"Bearer {token or own}"}
        return client.open(f"{PATH}{query}", method=method, json=body, headers=headers)

    return ask


def data(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, Any] = answer.get_json()["data"]
    return found


def test_it_is_off_until_the_user_asks_for_it_and_off_again_after(buyer: PackBuyer, ask: Ask) -> None:
    assert data(ask("GET"))["enabled"] is False
    asked = data(ask("PUT", WANTED))
    assert (asked["enabled"], asked["creditType"], asked["amount"], asked["below"]) == (True, "roast", 100, 20)
    buyer.take(95)
    buyer.run()
    shown = data(ask("GET"))["orders"]
    assert [(each["state"], each["amount"], each["currency"]) for each in shown] == [("paid", 1_000, "eur")]
    assert data(ask("DELETE"))["enabled"] is False
    buyer.take(100)
    buyer.run()
    assert buyer.packs() == [100]
    with read_only() as session:
        entries = [each for each in audit.latest(session, subject="user:ada") if each.action == "billing.auto_top_up"]
    assert [(each.actor, bool(each.before), bool(each.after)) for each in entries] == [
        ("(the account)", True, False),
        ("(the account)", False, True),
    ], "no name, which may be that of a person who works here, and would outlast an erasure"


def test_a_price_is_found_by_its_lookup_key_too(buyer: PackBuyer, ask: Ask) -> None:
    assert data(ask("PUT", {**WANTED, "price": PACK}))["price"] == PRICE
    assert buyer.wanted().price == PRICE


@pytest.mark.usefixtures("buyer")
def test_a_service_speaks_for_an_account_and_nobody_else_does(ask: Ask, service_token: str, sign_in: Any) -> None:
    assert data(ask("PUT", WANTED, token=service_token, query="?userId=ada"))["enabled"] is True
    assert data(ask("GET", user="ada", query="?userId=bob"))["enabled"] is True, "a user's token is for that user alone"
    assert data(ask("GET", user="bob", query="?userId=ada"))["enabled"] is False
    assert ask("PUT", WANTED, token=service_token).get_json()["code"] == "USER_ID_REQUIRED"
    assert ask("PUT", WANTED, token="nobody's").status_code == 401
    assert sign_in("alice").put(f"{PATH}?userId=ada", json=WANTED).status_code in (401, 403)


@pytest.mark.usefixtures("buyer")
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**WANTED, "price": "price_starter_monthly"}, "UNKNOWN_PACK"),
        ({**WANTED, "price": "nothing"}, "UNKNOWN_PACK"),
        ({**WANTED, "below": 0}, ""),
        ({**WANTED, "below": "20"}, ""),
        ({**WANTED, "below": True}, ""),
        ({**WANTED, "maxPerPeriod": 101}, ""),
        ({**WANTED, "maxAmount": 0}, ""),
        ({**WANTED, "more": 1}, ""),
        ({**WANTED, "below": 10**30}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_what_can_t_be_meant_is_refused_and_changes_nothing(ask: Ask, body: object, code: str) -> None:
    answer = ask("PUT", body)
    assert answer.status_code in (400, 415, 422)
    assert not code or answer.get_json()["code"] == code
    assert data(ask("GET"))["enabled"] is False


def test_a_pack_that_invoices_would_not_name_is_refused_with_what_to_add(buyer: PackBuyer, ask: Ask) -> None:
    buyer.api.packs = ("pack_analysis_100",)  # built in by its lookup key alone
    answer = ask("PUT", {**WANTED, "price": "pack_analysis_100"}).get_json()
    assert answer["code"] == "UNKNOWN_PACK"
    assert "price_pack_analysis_100" in answer["detail"]


def test_whoever_pays_nothing_at_stripe_can_t_ask_for_it(buyer: PackBuyer, ask: Ask) -> None:
    assert ask("PUT", WANTED, user="nobody").get_json()["code"] == "USER_NOT_FOUND"
    buyer.api.statuses = [500] * 3
    assert ask("PUT", WANTED).get_json()["code"] == "STRIPE_UNAVAILABLE"
    STRIPE_GATEWAY.set(buyer.billing.app, None)
    assert ask("PUT", WANTED).get_json()["code"] == "NO_STRIPE_KEY"
    buyer.job.tick(buyer.now)  # without a key there is nothing to do


def test_a_member_does_not_spend_their_organisations_money(buyer: PackBuyer, ask: Ask, service_token: str) -> None:
    organisation.join("bob", "ada")
    begun = {name: replace(each, starts_at=buyer.now - DAY) for name, each in members.MEMBERS.get().items()}
    members.MEMBERS.set(buyer.billing.app, begun)
    assert ask("PUT", WANTED, user="bob").get_json()["code"] == "MEMBER_OF_ORGANISATION"
    assert ask("GET", user="bob").status_code == 403
    assert data(ask("PUT", WANTED, token=service_token, query="?userId=ada"))["enabled"] is True


def test_a_decline_is_shown_with_its_reason(buyer: PackBuyer, ask: Ask) -> None:
    data(ask("PUT", WANTED))
    buyer.now += 365 * DAY  # behind the present, at which it was asked for
    buyer.take(95)
    buyer.api.invoicing.declined = "Your card has expired."
    buyer.run()
    shown = data(ask("GET"))
    assert (shown["enabled"], shown["stoppedReason"]) == (False, "Your card has expired.")
    assert shown["orders"][0]["state"] == "declined"


def test_whoever_changes_it_all_the_time_asks_stripe_no_more_for_a_minute(buyer: PackBuyer, ask: Ask) -> None:
    answers = [ask("PUT", {**WANTED, "below": below}) for below in range(1, 13)]
    assert [each.status_code for each in answers] == [200] * 10 + [429] * 2
    assert answers[-1].get_json()["code"] == "TOO_MANY_CHANGES"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    asked = len(buyer.api.asked)
    assert ask("PUT", WANTED).status_code == 429
    assert len(buyer.api.asked) == asked
    assert data(ask("DELETE"))["enabled"] is False, "whoever wants no more is always heard"
    assert ask("PUT", WANTED, user="bob").get_json()["code"] != "TOO_MANY_CHANGES"
