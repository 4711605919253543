"""Views behind each kind of door, and how people and programs knock."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, redirect, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from werkzeug.test import TestResponse

from control_plane.platform.auth import authentication, authorization
from control_plane.platform.auth.authorization import require_role, require_token

PASSWORD = "correct horse battery"
BROWSER = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


def build(app: Flask) -> None:
    """Add a view for each kind of authentication; people sign in at `/door`."""

    def who() -> ResponseReturnValue:
        return {"actor": authorization.actor(), "person": authorization.person() is not None}

    def holder() -> ResponseReturnValue:
        return {"token": authorization.token().name, "actor": authorization.actor()}

    def door() -> ResponseReturnValue:
        authentication.sign_in(request.form["username"], request.form["password"], now=datetime.now(UTC))
        return redirect("/page", 303)

    def leave() -> ResponseReturnValue:
        authentication.sign_out()
        return "out"

    def add(path: str, view: Callable[[], ResponseReturnValue], method: str = "GET") -> None:
        app.add_url_rule(path, endpoint=f"{method} {path}", view_func=view, methods=[method])

    add("/door", door, "POST")
    add("/leave", leave, "POST")
    add("/page", require_role("viewer")(who))
    add("/page", require_role("viewer")(who), "POST")
    add("/html", require_role("viewer")(lambda: "<p>page</p>"))
    for role in ("viewer", "operator", "owner"):
        add(f"/api/test/{role}", require_role(role)(who))
        add(f"/api/test/{role}", require_role(role)(who), "POST")
    add("/api/test/sdk", require_token("client", unleash=True)(holder))
    add("/api/test/service", require_token("service", "admin")(holder))
    add("/api/test/service", require_token("service", "admin")(holder), "POST")
    add("/api/test/open", who)


def enter(client: FlaskClient, username: str, password: str = PASSWORD) -> TestResponse:
    return client.post("/door", data={"username": username, "password": password}, headers=BROWSER)


def with_token(text: str) -> dict[str, str]:
    return {"Authorization": text}


def code(response: TestResponse) -> object:
    return response.get_json()["code"]
