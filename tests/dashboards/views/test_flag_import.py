"""Flags from elsewhere on a page: previewed, imported, refused with what was written."""

import io
import json
from collections.abc import Callable, Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import accounts, audit
from control_plane.platform.identity_types import Grant, Person, Role
from flags import store
from flags.administration.definitions import create_flag
from tests.credits_engine.organisation import NOW
from tests.dashboards.browsing import page_text, read_session, write_session

PAGE = "/flags/import"
STRATEGY = {"name": "default", "parameters": {}, "constraints": []}
TAKEN = {"name": "checkout", "enabled": True, "strategies": [STRATEGY]}
OF_VERSION_1 = {"name": "old", "enabled": True, "strategy": "default"}
DOCUMENT = json.dumps({"version": 1, "features": [TAKEN, OF_VERSION_1]})
WANTED = {"environment": "production", "text": DOCUMENT, "reason": "From Unleash.", "do": "import"}

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def search(app: Flask) -> None:
    """A flag that is there already."""
    with write_session(app) as session:
        create_flag(session, "search", {"production": True}, ChangeContext(NOW, "tests", "Begin."))


def send(browser: FlaskClient, **form: object) -> tuple[int, str]:
    answer = browser.post(PAGE, data=WANTED | form, follow_redirects=True)
    return answer.status_code, page_text(answer.text)


def names(app: Flask) -> list[str]:
    with read_session(app) as session:
        return sorted(wire["name"] for wire in store.definitions(session, "production"))


def test_a_preview_says_what_is_new_and_what_is_not_taken_and_changes_nothing(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert f'href="{PAGE}"' in alice.get("/flags").text
    assert "Preview" in page_text(alice.get(PAGE).text)
    status, page = send(alice, do="preview", reason="")
    assert status == 200
    assert "What it would do in production New checkout Not taken old :" in page
    assert names(app) == ["search"]


def test_it_is_imported_with_a_reason_and_audited(app: Flask, sign_in: SignIn) -> None:
    status, page = send(sign_in("alice"))
    assert status == 200
    assert "1 flag was imported into production." in page
    assert names(app) == ["checkout", "search"]
    with read_session(app) as session:
        entry = next(each for each in audit.latest(session) if each.action == "flag.import")
    assert (entry.actor, entry.reason) == ("alice", "From Unleash.")


def test_a_file_is_taken_and_stays_in_the_form_for_the_import(app: Flask, sign_in: SignIn) -> None:
    file = (io.BytesIO(DOCUMENT.encode()), "export.json")
    answer = sign_in("alice").post(PAGE, data=WANTED | {"do": "preview", "text": "", "file": file})
    assert answer.status_code == 200
    assert "&#34;checkout&#34;" in answer.text


def test_replacing_names_what_would_go(app: Flask, sign_in: SignIn) -> None:
    alice, whole = sign_in("alice"), json.dumps({"version": 1, "features": [TAKEN]})
    assert "Removed search" in send(alice, do="preview", text=whole, option="replace")[1]
    assert names(app) == ["search"]
    send(alice, text=whole, option="replace")
    assert names(app) == ["checkout"]
    assert "As they are here already checkout" in send(alice, do="preview", text=whole)[1]


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"text": "{"}, "The text is no JSON: Expecting property name"),
        ({"text": "{}"}, "neither features nor segments"),
        ({"reason": ""}, "a reason is required"),
        ({"option": "all"}, "old"),
    ],
)
def test_a_refusal_says_why_and_keeps_what_was_written(
    app: Flask, sign_in: SignIn, form: Mapping[str, str], why: str
) -> None:
    answer = sign_in("alice").post(PAGE, data={**WANTED, **form})
    assert answer.status_code == 422
    assert "Nothing was imported" in page_text(answer.text)
    assert why in page_text(answer.text)
    assert (form.get("text") or "checkout") in answer.text
    assert names(app) == ["search"]


def test_a_document_of_almost_a_megabyte_is_taken(app: Flask, sign_in: SignIn) -> None:
    text = json.dumps({"version": 1, "features": [TAKEN], "rest": "y" * 900_000})
    assert send(sign_in("alice"), text=text)[0] == 200
    assert names(app) == ["checkout", "search"]


@pytest.mark.parametrize("name", ["olga", "victor"])
def test_only_owners_may(app: Flask, sign_in: SignIn, name: str) -> None:
    browser = sign_in(name)
    assert browser.get(PAGE).status_code == 403
    assert f'href="{PAGE}"' not in browser.get("/flags").text
    assert send(browser)[0] == 403
    assert names(app) == ["search"]


def test_an_owner_of_production_alone_imports_there_alone_and_leaves_tags_of_flags_elsewhere(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person]
) -> None:
    with write_session(app) as session:
        grants = [Grant(Role.OWNER, environment="production")]
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=NOW, actor="tests")
        create_flag(session, "till", {"staging": True}, ChangeContext(NOW, "tests", "Begin."))
    victor = sign_in("victor")
    assert send(victor, environment="staging")[0] == 403
    tagged = {
        "features": [{"name": "till"}],
        "featureStrategies": [{"featureName": "till", "strategyName": "default"}],
        "featureEnvironments": [{"featureName": "till", "environment": "production", "enabled": True}],
        "featureTags": [{"featureName": "till", "tagType": "simple", "tagValue": "new"}],
    }
    assert send(victor, text=json.dumps(tagged))[0] == 422
    assert names(app) == ["search"]
    assert send(victor)[0] == 200
    assert names(app) == ["checkout", "search"]
