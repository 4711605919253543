"""A flag without a rollout that is deleted from its page, and brought back from its versions."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from flags import store
from flags.administration.definitions import create_flag, delete_flag
from flags.administration.edits import edit_definition
from tests.dashboards.browsing import page_text, read_session, write_session

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
NOW = datetime.now(UTC)

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def checkout(app: Flask) -> None:
    with write_session(app) as session:
        create_flag(session, "checkout", {"production": True, "qa": False}, ChangeContext(NOW, "tests", "Begin."))
        store.put_tags(session, {"checkout": [("simple", "money")]})


def test_another_flag_of_its_name_begins_without_its_tags(app: Flask) -> None:
    with write_session(app) as session:
        delete_flag(session, "checkout", ChangeContext(NOW, "tests", "Anew."))
        create_flag(session, "checkout", {"production": True}, ChangeContext(NOW, "tests", "Another one."))
        assert not store.tags(session).get("checkout")


def stored(app: Flask) -> Mapping[str, object]:
    with read_session(app) as session:
        return store.definitions_of(session, "checkout")["production"]


def test_a_flag_is_deleted_and_brought_back_from_its_versions(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    refused = alice.post("/flag/checkout/delete", data={"form": "delete", "reason": " "}, headers=HTML)
    assert refused.status_code == 422
    data = {"form": "delete", "reason": "The new till stays."}
    page = alice.post("/flag/checkout/delete", data=data, headers=HTML, follow_redirects=True).text
    assert "Deleted in every environment." in page_text(page)
    assert "It was deleted, so SDKs answer with the default in their code." in page_text(page)
    with read_session(app) as session:
        assert store.definitions_of(session, "checkout") == {}
    entry = re.findall(r'name="entry" value="(\d+)"', page)[0]
    with write_session(app) as session:
        assert store.tags(session)["checkout"], "its tags wait for it"
    back = alice.post("/flag/checkout/restore", data={"entry": entry, "reason": "Not yet."}, headers=HTML)
    assert back.status_code == 303
    assert stored(app)["enabled"] is True
    assert sign_in("olga").post("/flag/checkout/delete", data=data, headers=HTML).status_code == 403


def test_a_name_that_a_rollout_took_over_leads_to_the_rollout(app: Flask, sign_in: SignIn) -> None:
    with write_session(app) as session:
        delete_flag(session, "checkout", ChangeContext(NOW, "tests", "Anew."))
        rollouts.plan(session, "checkout", default_plan(NOW), ChangeContext(NOW, "tests", "In steps."))
    answered = sign_in("alice").get("/flag/checkout", headers=HTML)
    assert (answered.status_code, answered.headers["Location"]) == (303, "/rollouts/checkout")


def test_one_that_others_depend_on_is_not_deleted(app: Flask, sign_in: SignIn) -> None:
    with write_session(app) as session:
        change = ChangeContext(NOW, "tests", "Express.")
        create_flag(session, "express", {"production": True}, change)
        edit_definition(
            session, "express", "production", {"dependencies": [{"feature": "checkout"}]}, change, version=1
        )
    data = {"form": "delete", "reason": "The new till stays."}
    refused = sign_in("alice").post("/flag/checkout/delete", data=data, headers=HTML)
    assert refused.status_code == 422
    assert "express" in page_text(refused.text)
    assert 'value="The new till stays."' in refused.text
    assert stored(app)["enabled"] is True
