"""Problems as people see them: a page of ours, even where the database is away."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from control_plane.platform.auth import account_store
from tests.dashboards.browsing import page_text

pytestmark = pytest.mark.database("sqlite")

HTML = {"Accept": "text/html"}

SignIn = Callable[[str], FlaskClient]


def test_what_is_not_there_is_said_with_a_way_back(client: FlaskClient) -> None:
    answer = client.get("/nothing/here", headers=HTML)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 404
    assert "There is nothing at /nothing/here; check the address." in page_text(page)
    assert 'href="/"' in page


def test_a_database_that_is_away_gives_a_page_not_a_trace(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = sign_in("victor")

    def away(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(account_store, "person_of_session", away)
    answer = browser.get("/", headers=HTML)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 503
    assert "app.css" in page
    assert "The database can't answer at the moment." in page_text(page)
    assert "SELECT" not in page


def test_programs_get_a_document_instead(client: FlaskClient) -> None:
    answer = client.get("/nothing/here", headers={"Accept": "application/json"})
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("path", "field"), [("/new-segment", "name"), ("/flags", "name"), ("/catalogue/plans", "text")]
)
def test_a_form_with_what_can_t_be_stored_is_refused_by_every_database(sign_in: SignIn, path: str, field: str) -> None:
    form = {"environment": "production", "reason": "A test.", "do": "save", "version": "0"} | {field: "a\0b"}
    answer = sign_in("alice").post(path, data=form, headers={**HTML, "Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 422
    assert "The form holds a NUL character" in page_text(answer.text)
