"""What the product shows its customers of Stripe's: the portal, and the next invoice."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

BACK = {"returnUrl": "https://product.test/account"}


@pytest.fixture
def api(billing: Billing) -> Iterator[FakeApi]:
    """A Stripe that ada subscribes at, and that the application may ask."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    with fake_api.serving(stripe) as served:
        STRIPE_GATEWAY.set(billing.app, connect(KEY, base_url=served.url))
        yield served


@pytest.fixture
def ask(client: FlaskClient, service_token: str) -> Any:
    def ask(path: str, body: object, token: str = service_token) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"}
        return client.post(f"/api/billing/users/{path}", json=body, headers=headers)

    return ask


@pytest.mark.usefixtures("api")
def test_a_customer_is_led_to_the_portal(ask: Any) -> None:
    assert ask("ada/portal", BACK).get_json() == {"url": "https://stripe.test/cus_ada"}
    assert ask("bob/portal", BACK).get_json()["code"] == "NO_BILLING"
    assert ask("ada/portal", {"returnUrl": "javascript:alert(1)"}).get_json()["code"] == "INVALID_URL"
    assert ask("ada/portal", BACK, token="nobody's").status_code == 401


@pytest.mark.usefixtures("api")
def test_the_next_invoice_is_shown_as_it_is_and_as_it_would_be(ask: Any) -> None:
    assert ask("ada/invoice-preview", {}).get_json()["total"] == 2900
    found = ask("ada/invoice-preview", {"quantity": 5}).get_json()
    (line,) = found.pop("lines")
    assert (found, line["amount"]) == ({"currency": "eur", "total": 14_500}, 14_500)
    assert ask("bob/invoice-preview", {}).get_json()["code"] == "NO_SUBSCRIPTION"
    assert ask("ada/invoice-preview", {"quantity": -1}).status_code == 422


def test_of_several_items_the_plan_is_what_another_price_or_quantity_is_for(api: FakeApi, ask: Any) -> None:
    (held,) = api.stripe.subscriptions.values()
    held.price, held.extra_prices = "storage_metered", ("pro_monthly",)
    (line,) = ask("ada/invoice-preview", {"quantity": 5}).get_json()["lines"]
    assert line["description"] == f"5 seats of si_{held.id}_1"


def test_a_stripe_that_does_not_answer_and_one_that_refuses_are_said(api: FakeApi, ask: Any) -> None:
    api.stripe.subscriptions.clear()
    assert ask("ada/portal", BACK).get_json()["code"] == "REFUSED_BY_STRIPE"
    refused = ask("ada/invoice-preview", {"quantity": 2})
    assert (refused.status_code, "No such subscription" in refused.get_json()["detail"]) == (422, True)
    api.statuses += [500] * 3
    assert ask("ada/invoice-preview", {"quantity": 2}).get_json()["code"] == "STRIPE_UNAVAILABLE"


@pytest.mark.usefixtures("billing")
def test_without_a_key_it_is_said(billing: Billing, ask: Any) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    assert ask("ada/portal", BACK).get_json()["code"] == "NO_STRIPE_KEY"
