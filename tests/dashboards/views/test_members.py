"""Members of organisations on pages: listed, added, limited and removed by an owner, with a reason."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform import clock
from control_plane.platform.auth import audit
from credits_engine.administration.organisations import LEAD
from credits_engine.store import members
from dashboards.view_models import members as screens
from flags.store import UserAttributes, upsert_users
from tests import statements
from tests.credits_engine.organisation import NOW, join, take
from tests.dashboards.browsing import page_text, read_session, write_session

QUERIES_MAX = 12
PAGE = "/credits/members"
ACME = f"{PAGE}?account=acme"
HIRED = {"account": "acme", "user": "ada", "reason": "Hired."}

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def acme(app: Flask) -> None:
    """Two accounts on free, and two users who could be members of them."""
    with write_session(app) as session:
        upsert_users(
            session, [UserAttributes(name, "free") for name in ("acme", "eve-and-sons", "ada", "bob")], now=NOW
        )


def send(browser: FlaskClient, path: str = PAGE, **form: str) -> tuple[int, str]:
    answer = browser.post(path, data=HIRED | form, follow_redirects=True)
    return answer.status_code, answer.text


def test_an_owner_adds_a_member_with_a_limit_and_it_is_audited(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert "No account has members" in page_text(alice.get(PAGE).text)
    status, page = send(alice, **{"limit-analysis": "30"})
    assert status == 200
    assert "ada spends from this account" in page_text(page)
    assert "Analysis: 0 of at most 30 used · Roast: 0 used" in page_text(page)
    assert "acme 1" in page_text(alice.get(PAGE).text)
    with read_session(app) as session:
        entry = audit.latest(session, limit=1)[0]
    assert (entry.action, entry.subject, entry.actor, entry.reason) == ("credits.member", "user:ada", "alice", "Hired.")


def test_what_a_member_has_used_is_said(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        join("ada")
        take("ada", "k", analysis=7)
    assert "Analysis: 7 used" in page_text(sign_in("alice").get(ACME).text)


def test_limits_are_changed_and_a_member_removed(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        join("ada", analysis=30)
    alice = sign_in("alice")
    assert (
        'name="limit-analysis" type="number" min="0" step="1" placeholder="no limit" value="30"' in alice.get(ACME).text
    )
    assert "of at most 9 used" in page_text(send(alice, **{"limit-roast": "9"})[1])
    with read_session(app) as session:
        found = members.find(session, "ada")
        assert found is not None
        assert found.limits == {"roast": 9}
    assert "ada spends from their own account" in page_text(send(alice, f"{PAGE}/remove")[1])
    with read_session(app) as session:
        assert members.of_account(session, "acme", clock.now() + LEAD) == ()
        assert [each.action for each in audit.latest(session, limit=1)] == ["credits.member_removed"]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"reason": " "}, "a reason is required"),
        ({"limit-analysis": "many"}, "a whole number"),
        ({"limit-roast": "-1"}, "a whole number"),
        ({"user": "acme"}, "Nobody is a member of their own account"),
        ({"user": ""}, "empty"),
    ],
)
def test_a_refusal_says_why_and_keeps_what_was_written(
    app: Flask, sign_in: SignIn, form: dict[str, str], why: str
) -> None:
    status, page = send(sign_in("alice"), form="new", **form)
    assert status in (409, 422)
    assert why in page_text(page)
    for name, value in (HIRED | form).items():
        assert f'value="{value.strip()}"' in page, name
    with read_session(app) as session:
        assert members.every(session) == ()


def test_whoever_is_a_member_has_none(app: Flask, sign_in: SignIn) -> None:
    with app.app_context():
        join("ada")
    page = page_text(sign_in("alice").get(f"{PAGE}?account=ada").text)
    assert "It can have no members ada is a member of acme" in page
    page = sign_in("alice").get("/credits?user=ada").text
    assert "ada is a member of acme" in page_text(page)
    assert 'href="/credits?user=acme"' in page
    assert "No such account" in page_text(sign_in("alice").get(f"{PAGE}?account=eve").text)


def test_accounts_are_paged_and_the_page_of_one_takes_few_queries(
    app: Flask, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        join("ada")
        join("bob", "eve-and-sons")
    monkeypatch.setattr(screens, "PAGE", 1)
    alice = sign_in("alice")
    assert "acme 1" in page_text(alice.get(PAGE).text)
    assert f'href="{PAGE}?after=acme"' in alice.get(PAGE).text
    assert "eve-and-sons 1" in page_text(alice.get(f"{PAGE}?after=acme").text)
    with app.app_context(), statements.noted() as found:
        alice.get(ACME)
    assert len(found) <= QUERIES_MAX


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_only_owners_see_and_change_it(sign_in: SignIn, name: str) -> None:
    browser = sign_in(name)
    assert browser.get(PAGE).status_code == 403
    assert send(browser)[0] == 403
