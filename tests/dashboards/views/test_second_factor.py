"""Setting a device up, signing in with its codes, and losing it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts
from control_plane.platform.identity_types import Grant, Person, Role
from control_plane.platform.settings import SETTINGS
from tests.dashboards.browsing import page_text, read_session, write_session
from tests.installation import Installation
from tests.people import PASSWORD

pytestmark = pytest.mark.database("sqlite")

SignIn = Callable[[str], FlaskClient]
HTML = {"Accept": "text/html"}


def set_up(browser: FlaskClient) -> tuple[str, list[str]]:
    """Return the secret of the device, and the recovery codes."""
    page = browser.post("/account/second-factor/begin").get_data(as_text=True)
    found = re.search(r'id="secret"[^>]* value="([A-Z2-7]{32})"', page)
    assert found
    code = pyotp.TOTP(found[1]).at(datetime.now(UTC) - timedelta(seconds=30))
    done = browser.post("/account/second-factor", data={"present": PASSWORD, "code": code})
    assert done.headers["Cache-Control"] == "no-store"
    codes = re.findall(r"<code>([0-9a-f-]+)</code>", done.get_data(as_text=True))
    assert len(codes) == 10
    return found[1], codes


def prove_password(client: FlaskClient, name: str = "olga") -> None:
    answer = client.post("/sign-in", data={"username": name, "password": PASSWORD, "next": "/audit"})
    assert (answer.status_code, answer.location) == (303, "/sign-in/code?next=/audit")


def test_the_password_alone_opens_nothing_any_more(sign_in: SignIn, client: FlaskClient) -> None:
    secret, _ = set_up(sign_in("olga"))
    prove_password(client)
    assert client.get("/audit", headers=HTML).status_code == 303
    assert client.get("/api/rollouts").status_code == 401
    wrong = client.post("/sign-in/code", data={"code": "000000", "next": "/audit"})
    assert wrong.status_code == 401
    assert "The code is wrong" in page_text(wrong.get_data(as_text=True))
    right = client.post("/sign-in/code", data={"code": pyotp.TOTP(secret).now(), "next": "/audit"})
    assert (right.status_code, right.location) == (303, "/audit")
    assert client.get("/audit").status_code == 200


def test_guesses_at_a_code_are_limited_for_an_account_wherever_they_come_from(
    sign_in: SignIn, client: FlaskClient
) -> None:
    secret, _ = set_up(sign_in("olga"))
    prove_password(client)
    statuses = []
    for number in range(7):
        client.environ_base["REMOTE_ADDR"] = f"10.0.0.{number}"
        statuses.append(client.post("/sign-in/code", data={"code": "000000"}).status_code)
    assert statuses[-1] == 429
    assert client.post("/sign-in/code", data={"code": pyotp.TOTP(secret).now()}).status_code == 429


@pytest.mark.parametrize("spoiled", ["late", "changed", "nobody", "locked"])
def test_a_code_is_asked_of_nobody_but_who_just_proved_the_password(
    app: Flask, sign_in: SignIn, client: FlaskClient, cast: Mapping[str, Person], spoiled: str
) -> None:
    secret, _ = set_up(sign_in("olga"))
    if spoiled != "nobody":
        prove_password(client)
    if spoiled == "late":
        with client.session_transaction() as cookie:
            cookie["proved_at"] -= 301
    elif spoiled == "changed":
        sign_in("alice").post(f"/people/{cast['olga'].id}/password")
    elif spoiled == "locked":
        sign_in("alice").post(f"/people/{cast['olga'].id}/lock")
    answer = client.post("/sign-in/code", data={"code": pyotp.TOTP(secret).now()})
    assert answer.status_code == 401
    assert "sign in again" in page_text(answer.get_data(as_text=True))


def test_a_lost_device_is_passed_by_a_recovery_code_or_reset_by_an_admin(
    sign_in: SignIn, client: FlaskClient, cast: Mapping[str, Person]
) -> None:
    _, codes = set_up(sign_in("olga"))
    prove_password(client)
    assert client.post("/sign-in/code", data={"code": codes[0]}).status_code == 303
    admin = sign_in("alice")
    assert "Reset second factor" in page_text(admin.get("/people").get_data(as_text=True))
    admin.post(f"/people/{cast['olga'].id}/second-factor/reset", data={"reason": "Lost."})
    client.post("/sign-out")
    assert client.post("/sign-in", data={"username": "olga", "password": PASSWORD}).location == "/"


def test_removing_it_takes_password_and_code(app: Flask, sign_in: SignIn) -> None:
    browser = sign_in("olga")
    _, codes = set_up(browser)
    for form in ({"present": "wrong", "code": codes[0]}, {"present": PASSWORD, "code": "000000"}):
        browser.post("/account/second-factor/remove", data=form)
        assert "Nothing was changed." in page_text(browser.get("/account").get_data(as_text=True))
    browser.post("/account/second-factor/remove", data={"present": PASSWORD, "code": codes[1]})
    with read_session(app) as session:
        assert not any(person.has_second_factor for person in accounts.list_people(session))


def test_setting_it_up_takes_the_password_and_a_code_of_that_device(app: Flask, sign_in: SignIn) -> None:
    browser = sign_in("olga")
    browser.post("/account/second-factor/begin")
    for form in ({"present": PASSWORD, "code": "000000"}, {"present": "wrong", "code": "000000"}, {}):
        browser.post("/account/second-factor", data=form)
        assert "Nothing was changed." in page_text(browser.get("/account").get_data(as_text=True))
    with read_session(app) as session:
        assert not any(person.has_second_factor for person in accounts.list_people(session))


def test_a_token_has_no_device(client: FlaskClient, make_token: Callable[..., str]) -> None:
    headers = {"Authorization": make_token("admin")}
    assert client.post("/account/second-factor/begin", headers=headers).status_code == 403


def test_a_role_that_takes_it_counts_as_the_one_below_until_it_is_set_up(app: Flask, sign_in: SignIn) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), second_factor_from="owner"))
    Installation(app).plan()
    browser = sign_in("alice")
    for path in ("/api/people", "/api/admin/credits/aa-test"):
        refused = browser.get(path)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "SECOND_FACTOR_REQUIRED")
    assert 'href="/people"' not in browser.get("/").get_data(as_text=True)
    assert "Your role takes a second factor" in browser.get("/account").get_data(as_text=True)
    rolled_back = browser.post(f"/api/rollouts/{FLAG}/rollback", json={"reason": "Off needs no approval."})
    assert rolled_back.status_code == 200, "making it safer is always open"
    set_up(browser)
    assert browser.get("/api/people").status_code == 200
    assert "Your role takes" not in browser.get("/account").get_data(as_text=True)


def test_a_grant_for_one_flag_takes_it_too_and_a_token_does_not(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person], make_token: Callable[..., str], client: FlaskClient
) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), second_factor_from="owner"))
    with write_session(app) as session:
        grants, now = [Grant(Role.OWNER, "F")], datetime.now(UTC)
        accounts.change_grants(session, cast["olga"].id, grants=grants, now=now, actor="alice")
    olga = sign_in("olga")
    refused = olga.post("/api/rollouts/F/rearm", json={})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "SECOND_FACTOR_REQUIRED")
    other = olga.post("/api/rollouts/G/rearm", json={})
    assert (other.status_code, other.get_json()["code"]) == (403, "ROLE_REQUIRED")
    assert client.get("/api/people", headers={"Authorization": make_token("admin")}).status_code == 200


def test_a_password_alone_puts_no_other_device_in_its_place_nor_counts_as_both(sign_in: SignIn) -> None:
    mine, kept = sign_in("olga"), sign_in("olga")
    set_up(mine)
    assert mine.get("/account").status_code == 200
    assert kept.get("/api/rollouts").status_code == 401
    page = mine.post("/account/second-factor/begin").get_data(as_text=True)
    found = re.search(r'id="secret"[^>]* value="([A-Z2-7]{32})"', page)
    assert found
    code = pyotp.TOTP(found[1]).now()
    refused = mine.post("/account/second-factor", data={"present": PASSWORD, "code": code}, follow_redirects=True)
    assert "An authenticator app is set up already" in page_text(refused.get_data(as_text=True))
