"""Static files: kept for ever under their present mark, asked for again under any other."""

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dashboards import assets

pytestmark = pytest.mark.database("sqlite")


def test_the_present_mark_may_be_kept_for_ever(app: Flask, client: FlaskClient) -> None:
    with app.test_request_context():
        address = assets.static_url("app.css")
    with client.get(address) as answer:
        assert answer.status_code == 200
        assert answer.mimetype == "text/css"
        assert "immutable" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("query", ["", "?v=old"])
def test_any_other_mark_is_asked_for_again(client: FlaskClient, query: str) -> None:
    with client.get(f"/static/live.js{query}") as answer:
        assert "immutable" not in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["../pages/session.py", "nothing.css"])
def test_nothing_else_is_served(client: FlaskClient, path: str) -> None:
    assert client.get(f"/static/{path}").status_code == 404
