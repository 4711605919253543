"""Two users who are one person on a page: compared, merged with a reason, refused with what was written."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit
from credits_engine.billing.models import CUSTOMERS
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.two_accounts import two_accounts
from tests.credits_engine.billing.virtual_stripe import START
from tests.dashboards.browsing import page_text, read_session

PAGE = "/credits/merge"
WANTED = {"user": "old", "into": "ada", "reason": "One person."}

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def billing(app: Flask) -> Iterator[Billing]:
    """Ada, who pays for pro, and old ada, who bought starter once."""
    with app.app_context():
        found = Billing(app, START)
        two_accounts(found)
        yield found


def send(browser: FlaskClient, **form: str) -> tuple[int, str]:
    answer = browser.post(PAGE, data=WANTED | form, follow_redirects=True)
    return answer.status_code, answer.text


def owners(billing: Billing) -> set[str]:
    return {row["user_id"] for row in billing.rows(CUSTOMERS)}


def test_both_are_compared_and_then_merged_with_a_reason(app: Flask, billing: Billing, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert f'href="{PAGE}"' in alice.get("/billing").text
    page = page_text(alice.get(f"{PAGE}?user=old&into=ada").text)
    assert "old ends Plan starter Customers at Stripe cus_" in page
    assert "ada goes on Plan pro Customers at Stripe cus_" in page
    assert owners(billing) == {"ada", "old"}
    status, answer = send(alice)
    assert status == 200
    assert "old is part of ada now." in page_text(answer)
    assert owners(billing) == {"ada"}
    with read_session(app) as session:
        entry = next(each for each in audit.latest(session) if each.action == "billing.merge")
    assert (entry.subject, entry.actor, entry.reason) == ("user:old", "alice", "One person.")


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"reason": ""}, "a reason is required"),
        ({"into": "old"}, "can't be merged into themselves"),
        ({"into": "eve"}, "is not in the directory"),
        ({"user": "eve"}, "is no customer of Stripe's"),
    ],
)
def test_a_refusal_says_why_and_moves_nothing(
    billing: Billing, sign_in: SignIn, form: dict[str, str], why: str
) -> None:
    status, page = send(sign_in("alice"), **form)
    assert status in (404, 409, 422)
    assert why in page_text(page)
    assert owners(billing) == {"ada", "old"}
    written = WANTED | form
    assert f'name="user" value="{written["user"]}"' in page
    assert f'name="into" value="{written["into"]}"' in page


def test_what_stands_in_the_way_is_said_before_a_reason_is_asked(billing: Billing, sign_in: SignIn) -> None:
    page = page_text(sign_in("alice").get(f"{PAGE}?user=eve&into=ada").text)
    assert "They can't be merged now User 'eve' is no customer of Stripe's, so nothing can move." in page
    assert "Merge them" not in page


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_only_owners_may(billing: Billing, sign_in: SignIn, name: str) -> None:
    browser = sign_in(name)
    assert browser.get(PAGE).status_code == 403
    assert send(browser)[0] == 403
    assert owners(billing) == {"ada", "old"}
