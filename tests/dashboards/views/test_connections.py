"""Connected SDKs on a page: how many have the newest flags, and who is behind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from flags import store
from flags.client_features.refresher import feature_provider
from flags.usage.connections import Connection, Mode
from tests.dashboards.browsing import page_text, write_session

SignIn = Callable[[str], FlaskClient]


def connection(name: str, revision_id: int, *, age: timedelta = timedelta()) -> Connection:
    now = datetime.now(UTC) - age
    return Connection(
        name, "production", f"app-{name}", f"instance-{name}", "node:6.5.0", Mode.POLLING, revision_id, now, now
    )


def test_nobody_was_heard_of(sign_in: SignIn) -> None:
    assert "No SDK has asked for its flags in ten minutes" in page_text(sign_in("victor").get("/connections").text)


def test_those_behind_come_first_and_the_silent_are_left_out(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    with app.app_context():
        newest = feature_provider().current("production").feature_set.id
    with write_session(app) as session:
        found = [connection("a", newest), connection("b", newest - 1), connection("c", 1, age=timedelta(minutes=11))]
        store.put_connections(session, found)
    page = page_text(sign_in("victor").get("/connections").text)
    assert f"1 of 2 instances has revision {newest:,}.".replace(",", " ") in page
    assert page.index("app-b") < page.index("app-a")
    assert "app-c" not in page
