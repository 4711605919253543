"""Adding a passkey, signing in with it, losing it; and every answer that proves nothing."""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyotp
import pytest
from fido2.utils import websafe_encode
from fido2.webauthn import AuthenticatorData
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.auth import accounts, passkeys
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Person, Role
from control_plane.platform.settings import SETTINGS
from tests.dashboards.browsing import page_text
from tests.dashboards.views.test_second_factor import set_up
from tests.passkey_device import Device
from tests.people import PASSWORD

pytestmark = pytest.mark.database("sqlite")

SignIn = Callable[[str], FlaskClient]
Change = Callable[[str], str]


def add(browser: FlaskClient, device: Device, **form: str) -> str:
    """Add a passkey as somebody who is signed in; returns what the page says then."""
    question = browser.post("/account/passkeys/question").get_json()
    answer = {"present": PASSWORD, "name": "laptop", "credential": device.make(question)}
    browser.post("/account/passkeys", data=answer | form)
    return page_text(browser.get("/account").get_data(as_text=True))


def use(client: FlaskClient, device: Device, change: Change = str) -> TestResponse:
    """Sign in with a passkey, with the answer changed on its way."""
    question = client.post("/sign-in/passkey/question").get_json()
    return client.post("/sign-in/passkey", data={"credential": change(device.sign(question)), "next": "/audit"})


@pytest.fixture
def device(sign_in: SignIn) -> Device:
    """Olga's passkey."""
    made = Device()
    assert "The passkey laptop was added." in add(sign_in("olga"), made)
    return made


def actions(app: Flask, client: FlaskClient) -> list[tuple[str, Mapping[str, object]]]:
    entries = client.get("/api/audit").get_json()["entries"]
    return [(each["action"], each["after"]) for each in entries if "passkey" in str(each)]


def test_it_signs_in_without_a_password_and_is_audited(app: Flask, client: FlaskClient, device: Device) -> None:
    answer = use(client, device)
    assert (answer.status_code, answer.location) == (303, "/audit")
    assert client.get("/audit").status_code == 200
    signed_in, added = actions(app, client)
    assert signed_in[0] == "person.sign_in"
    assert signed_in[1]["method"] == "passkey"
    assert added == ("person.add_passkey", {"name": "laptop"})


def test_the_password_alone_opens_nothing_any_more(client: FlaskClient, device: Device) -> None:
    asked = client.post("/sign-in", data={"username": "olga", "password": PASSWORD, "next": "/audit"})
    assert asked.location == "/sign-in/code?next=/audit"
    assert "Use a passkey" in page_text(client.get("/sign-in/code").get_data(as_text=True))
    assert client.get("/api/rollouts").status_code == 401
    assert client.post("/sign-in/code", data={"code": "000000"}).status_code == 401
    question = client.post("/sign-in/passkey/question").get_json()
    assert len(question["allowCredentials"]) == 1, "the browser offers this person's passkeys alone"
    assert use(client, device).status_code == 303
    assert client.get("/audit").status_code == 200


def test_whoever_is_unknown_learns_no_names_from_the_question(client: FlaskClient, device: Device) -> None:
    question = client.post("/sign-in/passkey/question").get_json()
    assert question.keys() == {"challenge", "rpId", "userVerification"}
    assert "olga" not in str(question)


def forged(**parts: object) -> Change:
    def change(answer: str) -> str:
        found = json.loads(answer)
        found["response"] |= parts
        return json.dumps(found)

    return change


@pytest.mark.parametrize(
    "change",
    [
        forged(signature="AAAA"),
        forged(userHandle="OTk5"),
        forged(userHandle=""),
        forged(userHandle="b2xnYQ"),
        forged(userHandle=websafe_encode(b"1" * 19)),
        forged(userHandle=websafe_encode(str(2**70).encode())),
        forged(authenticatorData="AAAA"),
        forged(clientDataJSON="e30"),
        lambda answer: answer.replace("rawId", "raw"),
        lambda answer: answer[:-1],
        lambda _: "",
        lambda _: "[]",
        lambda _: "7",
        lambda _: json.dumps({"rawId": "AAAA", "id": "AAAA", "type": "public-key", "response": []}),
        lambda _: "[" * 5_000,
        lambda _: "9" * 30_000,
    ],
)
def test_an_answer_that_does_not_fit_proves_nobody(client: FlaskClient, device: Device, change: Change) -> None:
    refused = use(client, device, change)
    assert refused.status_code == 401
    assert "This passkey opens no account here" in page_text(refused.get_data(as_text=True))
    assert client.get("/api/rollouts").status_code == 401


@pytest.mark.parametrize(
    "other",
    [
        {"origin": "http://localhost.example.org"},
        {"origin": "http://localhost:81"},
        {"site": "example.org"},
        {"flags": AuthenticatorData.FLAG.UP},
        {"flags": AuthenticatorData.FLAG.UV},
        {"id": b"another id of it"},
    ],
)
def test_a_device_that_speaks_for_another_place_or_checked_nobody_is_refused(
    client: FlaskClient, device: Device, other: dict[str, Any]
) -> None:
    assert use(client, replace(device, **other)).status_code == 401
    assert use(client, device).status_code == 303


def test_an_answer_counts_once_and_not_for_another_question(client: FlaskClient, device: Device) -> None:
    answer = device.sign(client.post("/sign-in/passkey/question").get_json())
    client.post("/sign-in/passkey/question")
    assert client.post("/sign-in/passkey", data={"credential": answer}).status_code == 401
    again = client.post("/sign-in/passkey", data={"credential": answer})
    assert (again.status_code, client.get("/api/rollouts").status_code) == (401, 401)


def test_whoever_kept_the_cookie_and_the_answer_signs_nobody_in_again(
    app: Flask, client: FlaskClient, device: Device
) -> None:
    answer = device.sign(client.post("/sign-in/passkey/question").get_json())
    cookie = client.get_cookie("rollout_session")
    assert cookie is not None
    thieves = [app.test_client() for _ in range(6)]
    for each in thieves:
        each.set_cookie("rollout_session", cookie.value)
    send = [partial(each.post, "/sign-in/passkey", data={"credential": answer}) for each in [client, *thieves]]
    with ThreadPoolExecutor(len(send)) as threads:
        found = sorted(each.status_code for each in threads.map(lambda one: one(), send))
    assert found == [303, *[401] * 6]
    assert use(client, device).status_code == 303


def test_a_copied_device_is_refused_and_told(app: Flask, client: FlaskClient, device: Device, sign_in: SignIn) -> None:
    device.signatures = 5
    assert use(client, device).status_code == 303
    for signatures in (5, 4, 0):
        assert use(app.test_client(), replace(device, signatures=signatures)).status_code == 401
    assert ("person.refuse_passkey", {"name": "laptop", "reason": "It was copied."}) in actions(app, client)
    device.signatures = 6
    assert use(app.test_client(), device).status_code == 303


def test_whoever_is_locked_out_has_no_passkey_either(
    app: Flask, client: FlaskClient, device: Device, now: datetime
) -> None:
    with app.app_context(), transaction() as session:
        olga = next(each for each in accounts.list_people(session) if each.username == "olga")
        accounts.disable_person(session, olga.id, now=now, actor="alice")
    assert use(client, device).status_code == 401


def test_guesses_are_limited(client: FlaskClient, device: Device) -> None:
    answers = [use(client, device, forged(signature="AAAA")).status_code for _ in range(12)]
    assert answers[:10] == [401] * 10
    assert answers[10:] == [429] * 2


def test_adding_one_takes_the_password_and_the_code_of_a_device(sign_in: SignIn) -> None:
    browser = sign_in("olga")
    assert "The present password is wrong" in add(browser, Device(), present="something else")
    secret, _ = set_up(browser)
    assert "The code is wrong" in add(browser, Device(), code="000000")
    assert "The passkey laptop was added." in add(browser, Device(), code=pyotp.TOTP(secret).at(datetime.now(UTC)))


def test_adding_one_ends_every_other_session(sign_in: SignIn) -> None:
    here, elsewhere = sign_in("olga"), sign_in("olga")
    add(here, Device())
    assert here.get("/api/rollouts").status_code == 200
    assert elsewhere.get("/api/rollouts").status_code == 401


@pytest.mark.parametrize(
    "device",
    [
        Device(origin="http://localhost.example.org"),
        Device(site="example.org"),
        Device(flags=AuthenticatorData.FLAG.UP),
    ],
)
def test_no_passkey_of_another_place_is_added(sign_in: SignIn, device: Device) -> None:
    assert "answer does not fit" in add(sign_in("olga"), device)


def test_an_answer_to_no_question_adds_nothing(sign_in: SignIn) -> None:
    browser, device = sign_in("olga"), Device()
    made = device.make(browser.post("/account/passkeys/question").get_json())
    form = {"present": PASSWORD, "name": "laptop", "credential": made}
    for _ in range(2):
        browser.post("/account/passkeys", data=form)
    assert "answer does not fit" in page_text(browser.get("/account").get_data(as_text=True))
    add(browser, device)
    assert page_text(browser.get("/account").get_data(as_text=True)).count("Remove laptop") == 1


@pytest.mark.parametrize(
    ("typed", "shown"), [("a\x01b", "a b"), ("\n", "Passkey"), ("x" * 5_000, "x" * 40), ("\u202etfel", "tfel")]
)
def test_a_name_is_one_that_pages_and_cookies_can_hold(sign_in: SignIn, typed: str, shown: str) -> None:
    assert f"The passkey {shown} was added." in add(sign_in("olga"), Device(), name=typed)


def test_no_passkey_has_a_longer_id_than_there_are(sign_in: SignIn) -> None:
    assert "answer does not fit" in add(sign_in("olga"), Device(id=b"x" * 1024))
    assert "was added" in add(sign_in("olga"), Device(id=b"x" * 1023))


def test_there_are_only_so_many(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passkeys, "PASSKEYS_MAX", 1)
    browser = sign_in("olga")
    add(browser, Device())
    assert "There are 1 passkeys already" in add(browser, Device())


def test_one_that_is_removed_signs_nobody_in(app: Flask, client: FlaskClient, sign_in: SignIn, device: Device) -> None:
    assert use(client, device).status_code == 303
    kept = websafe_encode(device.id)
    client.post("/account/passkeys/remove", data={"passkey": kept, "present": "something else"})
    assert "Remove laptop" in page_text(client.get("/account").get_data(as_text=True))
    client.post("/account/passkeys/remove", data={"passkey": kept, "present": PASSWORD})
    assert "The passkey laptop was removed." in page_text(client.get("/account").get_data(as_text=True))
    assert use(app.test_client(), device).status_code == 401


def test_removing_one_ends_what_it_may_have_begun(app: Flask, client: FlaskClient, device: Device) -> None:
    thief = app.test_client()
    assert [use(each, device).status_code for each in (client, thief)] == [303, 303]
    client.post("/account/passkeys/remove", data={"passkey": websafe_encode(device.id), "present": PASSWORD})
    assert [each.get("/api/rollouts").status_code for each in (client, thief)] == [200, 401]


def test_nobody_removes_or_uses_the_passkey_of_another(client: FlaskClient, sign_in: SignIn, device: Device) -> None:
    victor = sign_in("victor")
    victor.post("/account/passkeys/remove", data={"passkey": websafe_encode(device.id), "present": PASSWORD})
    assert "There is no such passkey any more." in page_text(victor.get("/account").get_data(as_text=True))
    theirs = Device()
    add(victor, theirs)
    theirs.handle = device.handle
    assert use(client, theirs).status_code == 401


def test_an_admin_resets_whoever_lost_it(
    app: Flask, client: FlaskClient, sign_in: SignIn, device: Device, cast: Mapping[str, Person]
) -> None:
    thief = app.test_client()
    assert use(thief, device).status_code == 303
    reset = sign_in("alice").delete(f"/api/people/{cast['olga'].id}/second-factor", json={"reason": "Lost."})
    assert reset.status_code in (200, 204)
    assert thief.get("/api/rollouts").status_code == 401
    assert use(client, device).status_code == 401
    plain = client.post("/sign-in", data={"username": "olga", "password": PASSWORD, "next": "/audit"})
    assert plain.location == "/audit"


def test_it_counts_where_a_role_takes_a_second_factor(app: Flask, client: FlaskClient, device: Device) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), second_factor_from=str(Role.OPERATOR)))
    assert use(client, device).status_code == 303
    assert "Your role takes a second factor" not in page_text(client.get("/account").get_data(as_text=True))
