"""A service token opens the server of its own environment, and flags wherever it is shown."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.installation import Installation

pytestmark = pytest.mark.database("sqlite")
BEYOND_FLAGS = [
    ("POST", "/api/credits/consume"),
    ("POST", "/api/credits/reserve"),
    ("POST", "/api/credits/commit"),
    ("POST", "/api/credits/release"),
    ("GET", "/api/user/credits/status?userId=u-1"),
    ("GET", "/api/user/credits/history?userId=u-1"),
    ("GET", "/api/user/credits/summary?userId=u-1"),
    ("GET", "/embed/credits?userId=u-1&form=json"),
    ("POST", "/api/users"),
    ("POST", "/api/signals"),
    ("POST", "/api/experiments/F/results"),
    ("GET", "/api/experiments"),
    ("POST", "/webhooks/alertmanager"),
    ("GET", "/metrics"),
]


def called(client: FlaskClient, method: str, path: str, token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "192.0.2.1"}
    response = client.open(path, method=method, json={} if method == "POST" else None, headers=headers)
    document = response.get_json(silent=True)
    return response.status_code, document.get("code", "") if isinstance(document, dict) else ""


@pytest.mark.parametrize(("method", "path"), BEYOND_FLAGS)
def test_a_token_of_another_environment_opens_nothing_but_flags(
    client: FlaskClient, make_token: Callable[..., str], method: str, path: str
) -> None:
    theirs, ours = make_token("service", environment="staging"), make_token("service")
    assert called(client, method, path, theirs) == (403, "WRONG_ENVIRONMENT")
    status, code = called(client, method, path, ours)
    assert code != "WRONG_ENVIRONMENT"
    assert status != 403


def test_it_is_the_servers_environment_that_counts(settings: Settings) -> None:
    with application(replace(settings, environment="staging")) as app:
        installation, client = Installation(app), app.test_client()
        staging, production = (installation.token("service", environment=each) for each in ("staging", "production"))
        assert called(client, "POST", "/api/signals", production) == (403, "WRONG_ENVIRONMENT")
        assert called(client, "POST", "/api/signals", staging)[0] != 403
        assert called(client, "POST", "/api/signals", installation.token("admin"))[0] != 403


def test_flags_are_answered_for_the_environment_of_the_token(app: Flask, make_token: Callable[..., str]) -> None:
    Installation(app).plan()
    token = make_token("service", environment="staging")
    answer = app.test_client().post(
        f"/ofrep/v1/evaluate/flags/{FLAG}",
        json={"context": {"targetingKey": "u-1"}},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200


def test_a_role_in_staging_exposes_nobody_in_production_through_a_server_of_staging(settings: Settings) -> None:
    with application(replace(settings, environment="staging")) as app:
        installation, client = Installation(app), app.test_client()
        theirs, wide = (installation.token("admin", role="owner", environment=each) for each in ("staging", "*"))
        for path in (f"/api/rollouts/{FLAG}/advance", f"/api/rollouts/{FLAG}/rearm", "/api/rollouts"):
            assert called(client, "POST", path, theirs) == (403, "ROLE_REQUIRED")
            assert called(client, "POST", path, wide)[0] != 403
        assert called(client, "PATCH", "/api/flags/F/environments/staging", theirs)[0] != 403
        assert called(client, "POST", f"/api/rollouts/{FLAG}/hold", theirs)[0] != 403
        assert called(client, "POST", "/api/signals", theirs)[0] != 403
