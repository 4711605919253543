"""Users by name: let in, kept out, put on the beta allowlist, each by those whose role covers it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from dashboards.view_models.users import PAGE
from flags import store
from flags.store import Effect, StoredOverride, UserAttributes
from tests.dashboards.browsing import page_text, read_session, write_session

pytestmark = pytest.mark.database("sqlite")

HTML = {"Accept": "text/html"}
FORM = {"user": "u-1", "reason": "Asked for it.", "hours": "24"}

SignIn = Callable[[str], FlaskClient]


def test_nobody_is_treated_by_name_at_first(sign_in: SignIn, planned: Rollout) -> None:
    page = page_text(sign_in("victor").get("/users").get_data(as_text=True))
    assert "Nobody is let in or kept out by name" in page
    assert "Nobody is on the list" in page


def test_an_operator_keeps_a_user_out_for_a_day(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("olga")
    assert browser.post(f"/users/{FLAG}/overrides/deny", data=FORM).status_code == 303
    (stored,) = overrides(app)
    assert (stored.user_id, stored.effect, stored.actor, stored.reason) == ("u-1", Effect.DENY, "olga", "Asked for it.")
    assert stored.expires_at is not None
    assert stored.expires_at - stored.created_at == timedelta(days=1)
    page = page_text(browser.get("/users").get_data(as_text=True))
    assert "u-1 Asked for it. olga, just now · ends in 23 h 59 min Kept out" in page
    assert "User id u-1 Effect deny" in page_text(browser.get("/audit").text)


def test_an_override_without_an_end_stands_until_somebody_ends_it(
    app: Flask, sign_in: SignIn, planned: Rollout
) -> None:
    browser = sign_in("alice")
    browser.post(f"/users/{FLAG}/overrides/allow", data=FORM | {"hours": ""})
    assert overrides(app)[0].expires_at is None
    assert "until somebody ends it" in page_text(browser.get("/users").get_data(as_text=True))
    browser.post(f"/users/{FLAG}/overrides/allow/end", data={"user": "u-1", "reason": "Over."})
    assert overrides(app) == []


@pytest.mark.parametrize("path", ["allow", "deny/end"])
def test_what_exposes_is_for_owners(app: Flask, sign_in: SignIn, planned: Rollout, path: str) -> None:
    answer = sign_in("olga").post(f"/users/{FLAG}/overrides/{path}", data=FORM, headers=HTML)
    assert answer.status_code == 403
    assert overrides(app) == []


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"user": ""}, {"user": "back\\"}])
def test_what_can_not_be_stored_is_refused_with_its_reason(
    app: Flask, sign_in: SignIn, planned: Rollout, wrong: dict[str, str]
) -> None:
    refused = sign_in("olga").post(f"/users/{FLAG}/overrides/deny", data=FORM | wrong)
    assert refused.status_code == 422
    assert "Nothing was changed." in page_text(refused.get_data(as_text=True))
    assert overrides(app) == []


def test_a_refusal_keeps_what_was_written_in_its_own_form_alone(sign_in: SignIn, planned: Rollout) -> None:
    form = {"form": "override", "user": "back\\", "reason": "He said <so>.", "hours": "24"}
    page = sign_in("olga").post(f"/users/{FLAG}/overrides/deny", data=form).get_data(as_text=True)
    assert page.count('value="back\\"') == 1
    assert "He said &lt;so&gt;.</textarea>" in page
    assert '<option value="24" selected>' in page


def test_several_join_the_beta_at_once_however_they_are_pasted(sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("alice")
    pasted = "a1, a2;a3\r\na1\n"
    joined = browser.post("/users/beta", data={"user": pasted, "plan": "pro", "beta": "join"}, follow_redirects=True)
    page = page_text(joined.get_data(as_text=True))
    assert "3 users are on the beta allowlist." in page
    assert "3 of 3 known users" in page


def test_of_several_who_join_the_beta_all_do_or_none(sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("alice")
    refused = browser.post("/users/beta", data={"user": "a1 back\\", "plan": "pro", "beta": "join"})
    assert refused.status_code == 422
    assert "Nobody is on the list" in page_text(browser.get("/users").get_data(as_text=True))


def test_an_override_that_has_ended_says_so(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    with write_session(app) as session:
        store.put_override(session, FLAG, "u-1", Effect.DENY, ChangeContext(past, "olga", "Once."), expires_at=past)
    assert "· ended Expired" in page_text(sign_in("victor").get("/users").get_data(as_text=True))


def test_the_beta_allowlist_is_joined_and_left(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("alice")
    browser.post("/users/beta", data={"user": "u-1", "plan": "pro", "beta": "join"})
    assert "u-1 Plan pro" in page_text(browser.get("/users").get_data(as_text=True))
    browser.post("/users/beta", data={"user": "u-1", "beta": "leave"})
    assert "0 of 1 known user" in page_text(browser.get("/users").get_data(as_text=True))
    with read_session(app) as session:
        assert [entry.action for entry in audit.latest(session, limit=2)] == ["directory.beta", "directory.beta"]


def test_operators_take_people_off_the_beta_allowlist_and_put_nobody_on_it(sign_in: SignIn, planned: Rollout) -> None:
    """A user who joins is exposed while the beta phase is open."""
    sign_in("alice").post("/users/beta", data={"user": "u-1", "plan": "pro", "beta": "join"})
    olga = sign_in("olga")
    refused = olga.post("/users/beta", data={"user": "u-2", "plan": "pro", "beta": "join"}, headers=HTML)
    assert refused.status_code == 403
    page = page_text(olga.get("/users").get_data(as_text=True))
    assert "1 of 1 known user" in page
    assert "Add to the beta" not in page
    olga.post("/users/beta", data={"user": "u-1", "beta": "leave"})
    assert "0 of 1 known user" in page_text(olga.get("/users").get_data(as_text=True))


def test_a_stranger_to_the_directory_needs_a_plan(sign_in: SignIn, planned: Rollout) -> None:
    refused = sign_in("alice").post("/users/beta", data={"user": "u-9", "beta": "join"})
    assert "say which plan they are on" in page_text(refused.get_data(as_text=True))


def test_viewers_only_look(sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("victor")
    assert "<form method" not in browser.get("/users").get_data(as_text=True).partition("<main")[2]
    assert browser.post("/users/beta", data={"user": "u-1", "beta": "join"}, headers=HTML).status_code == 403


def overrides(app: Flask) -> list[StoredOverride]:
    """Return every override of the flag."""
    with read_session(app) as session:
        return store.list_overrides(session, FLAG)


def test_overrides_and_the_allowlist_go_on_from_page_to_page(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    now = datetime.now(UTC)
    names = [f"u-{number:03}" for number in range(PAGE + 1)]
    with write_session(app) as session:
        store.upsert_users(session, [UserAttributes(name, "pro", now, beta=True) for name in names], now=now)
        for name in names:
            store.put_override(session, FLAG, name, Effect.ALLOW, ChangeContext(now, "olga", "Asked for."))
        # The last one of the first page has two, which belong together.
        store.put_override(session, FLAG, names[PAGE - 2], Effect.DENY, ChangeContext(now, "olga", "Asked for."))
    browser = sign_in("victor")
    first = browser.get("/users").text
    overrides, members = (unescape(each) for each in re.findall(r'href="([^"]*after=[^"]*)"', first))
    assert overrides.endswith(f"after={names[PAGE - 2]}")
    assert listed(browser.get(overrides).text)[:2] == names[PAGE - 1 :]
    assert listed(browser.get(members).text)[-1:] == names[PAGE:]


def listed(page: str) -> list[str]:
    return re.findall(r'<a class="flag" href="/explain[^"]*">([^<]+)</a>', page)


def test_a_page_with_more_users_than_travel_to_sdks_says_so(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    now = datetime.now(UTC)
    with write_session(app) as session:
        for number in range(101):
            store.put_override(session, FLAG, f"u-{number}", Effect.ALLOW, ChangeContext(now, "olga", "Once."))
    assert "the other 1 are answered by this server alone" in page_text(
        sign_in("victor").get("/users").get_data(as_text=True)
    )
