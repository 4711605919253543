"""Every refusal is a document that a program can act on, or a page that a person can read."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, abort, request
from flask.testing import FlaskClient
from jinja2 import DictLoader
from pydantic import BaseModel
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.test import TestResponse

from control_plane.platform import problems
from control_plane.platform.problems import Problem

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


class Amount(BaseModel):
    amount: int
    password: str = ""


@pytest.fixture
def small_app() -> Flask:
    app = Flask(__name__)
    problems.init_app(app)
    app.add_url_rule("/api/amount", view_func=read_amount, methods=["POST"])
    return app


def read_amount() -> dict[str, int]:
    return {"amount": Amount.model_validate(request.get_json()).amount}


def raising(app: Flask, error: Callable[[], Exception], path: str = "/api/fail") -> FlaskClient:
    def fail() -> str:
        raise error()

    app.add_url_rule(path, view_func=fail)
    return app.test_client()


def logged(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def document(response: TestResponse) -> dict[str, Any]:
    assert response.content_type == "application/problem+json"
    found = json.loads(response.data)
    assert isinstance(found, dict)
    return found


def test_a_problem_becomes_a_document_with_its_code_members_and_headers(small_app: Flask) -> None:
    client = raising(
        small_app,
        lambda: Problem(409, "VERSION_CONFLICT", "It moved on.", headers={"Retry-After": "1"}, current_version=7),
    )
    response = client.get("/api/fail")
    assert response.status_code == 409
    assert response.headers["Retry-After"] == "1"
    found = document(response)
    assert found == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "code": "VERSION_CONFLICT",
        "detail": "It moved on.",
        "current_version": 7,
        "request_id": "",
    }


def test_an_extra_member_never_replaces_a_standard_one() -> None:
    assert Problem(409, "RIGHT", "Right.", title="wrong", type="wrong").document()["title"] == "Conflict"


def test_a_browser_gets_a_page_outside_the_api_and_the_page_escapes_what_it_shows(small_app: Flask) -> None:
    client = raising(small_app, lambda: Problem(403, "NO", "<script>alert(1)</script>"), path="/rollouts")
    response = client.get("/rollouts", headers=BROWSER)
    assert response.status_code == 403
    assert response.mimetype == "text/html"
    assert "<script>" not in response.text
    assert "&lt;script&gt;" in response.text


def test_the_api_answers_a_document_even_to_a_browser(small_app: Flask) -> None:
    assert document(small_app.test_client().get("/api/nothing", headers=BROWSER))["code"] == "NOT_FOUND"


def test_a_program_outside_the_api_gets_a_document(small_app: Flask) -> None:
    assert document(small_app.test_client().get("/nothing"))["code"] == "NOT_FOUND"


def test_an_own_page_template_is_used_when_there_is_one(small_app: Flask) -> None:
    small_app.jinja_loader = DictLoader({"problem.html": "page of {{ problem.code }}"})
    assert small_app.test_client().get("/nothing", headers=BROWSER).text == "page of NOT_FOUND"


def test_a_page_template_that_fails_falls_back_to_the_plain_page(small_app: Flask) -> None:
    small_app.jinja_loader = DictLoader({"problem.html": "{{ problem.nothing.at_all }}"})
    response = small_app.test_client().get("/nothing", headers=BROWSER)
    assert response.status_code == 404
    assert "Not Found" in response.text


def test_a_wrong_method_names_what_is_possible(small_app: Flask) -> None:
    response = small_app.test_client().get("/api/amount")
    assert document(response)["code"] == "METHOD_NOT_ALLOWED"
    assert "POST" in response.headers["Allow"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"amount": NaN}',
        b'{"amount": 1e999}',
        b'{"amount": ' + b"9" * 5000 + b"}",
        b'{"amount": "\xff"}',
        b'{"amount": "\\u0000"}',
        b'{"amount": ["\\ud800"]}',
        b'{"\\uDFFF": 1}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{'amount': 1}",
    ],
)
def test_a_body_that_is_not_strict_json_is_named_malformed(small_app: Flask, body: bytes) -> None:
    response = small_app.test_client().post("/api/amount", data=body, content_type="application/json")
    assert response.status_code == 400
    assert document(response)["code"] == "MALFORMED_JSON"
    assert len(str(document(response)["detail"])) < 300


def test_a_body_of_another_type_is_refused_with_the_right_one(small_app: Flask) -> None:
    response = small_app.test_client().post("/api/amount", data="amount=1", content_type="text/plain")
    assert response.status_code == 415
    assert "application/json" in str(document(response)["detail"])


def test_a_wrong_body_names_each_field_and_never_repeats_a_value(small_app: Flask) -> None:
    response = small_app.test_client().post("/api/amount", json={"amount": "hunter2", "password": 5})
    assert response.status_code == 422
    found = document(response)
    assert found["code"] == "INVALID_BODY"
    assert [each["field"] for each in found["errors"]] == ["amount", "password"]
    assert "hunter2" not in response.text


def test_a_body_that_is_no_object_says_so(small_app: Flask) -> None:
    response = small_app.test_client().post("/api/amount", json=[1])
    assert response.status_code == 422
    assert "body" in str(document(response)["detail"])


def test_an_error_raised_while_a_value_error_was_handled_is_not_called_malformed_json(small_app: Flask) -> None:
    def fail() -> str:
        try:
            return str(int("x"))
        except ValueError:
            abort(400, "The step must be a whole number.")

    small_app.add_url_rule("/api/step", view_func=fail)
    found = document(small_app.test_client().get("/api/step"))
    assert (found["code"], found["detail"]) == ("BAD_REQUEST", "The step must be a whole number.")


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("UPDATE person SET password_hash = 's3cret'", {"p": "s3cret"}, Exception("server closed")),
        PoolTimeoutError("QueuePool limit reached"),
        IntegrityError("INSERT s3cret", {}, Exception("lost"), connection_invalidated=True),
    ],
)
def test_an_unreachable_database_is_a_503_to_try_again(
    small_app: Flask, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    response = raising(small_app, lambda: error).get("/api/fail")
    assert response.status_code == 503
    assert document(response)["code"] == "DATABASE_UNAVAILABLE"
    assert response.headers["Retry-After"] == "2"
    assert "s3cret" not in response.text
    assert "s3cret" not in logged(capsys)


def test_an_unexpected_error_tells_the_caller_nothing_but_where_to_ask(
    small_app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    response = raising(small_app, lambda: RuntimeError("the secret inside")).get("/api/fail")
    assert response.status_code == 500
    assert document(response)["code"] == "INTERNAL_ERROR"
    assert "secret inside" not in response.text
    assert "secret inside" in logged(capsys)


def test_a_value_the_database_cannot_hold_is_the_callers_mistake(
    small_app: Flask, capsys: pytest.CaptureFixture[str]
) -> None:
    error = DataError("INSERT", {}, Exception("cannot contain NUL: s3cret"))
    response = raising(small_app, lambda: error).get("/api/fail")
    assert response.status_code == 422
    assert document(response)["code"] == "UNSTORABLE_VALUE"
    assert "s3cret" not in logged(capsys)


def test_a_broken_constraint_is_a_defect_of_ours_not_an_outage(small_app: Flask) -> None:
    error = IntegrityError("INSERT", {}, Exception("unique"))
    assert raising(small_app, lambda: error).get("/api/fail").status_code == 500


def test_a_redirect_stays_a_redirect(small_app: Flask) -> None:
    small_app.add_url_rule("/folder/", view_func=lambda: "inside", endpoint="folder")
    assert small_app.test_client().get("/folder").status_code == 308
