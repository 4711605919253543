"""Erasing over HTTP and at a console: by admins alone, audited, and without the name in any address."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime import cli_support
from credits_engine.cli.users import users_group
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.credits_engine.erasure.conftest import EMAIL, PERSON, found

URL = "/api/admin/erasures"
BODY = {"userId": PERSON, "also": [EMAIL], "reason": "Asked by letter."}


def test_an_admin_erases_and_sees_when_and_why_but_never_whom(
    filled: VirtualStripe, sign_in: Callable[[str], FlaskClient]
) -> None:
    alice = sign_in("alice")
    answer = alice.post(URL, json=BODY)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    document = answer.get_json()
    assert document["rows"]["credit_journal"] == 4
    assert document["outside"]
    assert found(PERSON, EMAIL) == []
    (noted,) = alice.get(URL).get_json()["erasures"]
    assert (noted["pseudonym"], noted["reason"]) == (document["pseudonym"], BODY["reason"])
    with read_only() as session:
        entry = next(each for each in audit.latest(session) if each.action == "user.erase")
    assert (entry.subject, entry.reason) == (f"user:{document['pseudonym']}", BODY["reason"])
    assert alice.post(URL, json=BODY).status_code == 404


def test_an_operator_may_not(filled: VirtualStripe, sign_in: Callable[[str], FlaskClient]) -> None:
    assert sign_in("olga").post(URL, json=BODY).status_code == 403
    assert found(PERSON)


def test_at_a_console(filled: VirtualStripe, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    run = CliRunner().invoke
    done = run(users_group, ["erase", PERSON, "--also", EMAIL, "--reason", "Asked by letter."])
    assert done.exit_code == 0, done.output
    assert "Not done here: What Stripe holds: delete the customer there." in done.output
    listed = json.loads(run(users_group, ["erasures", "--json"]).output)["erasures"]
    assert listed[0]["pseudonym"] in done.output
    again = run(users_group, ["erase", PERSON, "--reason", "Asked by letter."])
    assert again.exit_code == 1
    assert "Nothing here is about user" in again.output
