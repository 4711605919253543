"""Behind proxies: who really calls, and over what, as far as the proxies in front are trusted."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, jsonify, request

from control_plane.platform.settings import Settings
from flags.unleash.feature_payload import encode
from tests.applications import application
from tests.installation import Installation

pytestmark = pytest.mark.database("sqlite")

PROXY, CALLER = "10.0.0.2", "203.0.113.5"
Behind = Callable[[int], AbstractContextManager[Flask]]


@pytest.fixture
def behind(settings: Settings) -> Behind:
    """`behind(1)` is the application when one proxy is trusted."""

    @contextmanager
    def made(proxies: int) -> Iterator[Flask]:
        with application(replace(settings, trusted_proxies=proxies)) as app:
            app.add_url_rule("/seen", view_func=lambda: jsonify(address=request.remote_addr, tls=request.is_secure))
            yield app

    return made


def request_info(app: Flask, forwarded: str, proto: str = "https") -> dict[str, Any]:
    headers = {"X-Forwarded-For": forwarded, "X-Forwarded-Proto": proto}
    answer = app.test_client().get("/seen", headers=headers, environ_base={"REMOTE_ADDR": PROXY})
    found: dict[str, Any] = answer.get_json()
    return found


def test_without_trust_nothing_a_caller_writes_counts(behind: Behind) -> None:
    with behind(0) as app:
        assert request_info(app, CALLER) == {"address": PROXY, "tls": False}


def test_one_trusted_proxy_says_who_calls_and_whether_over_tls(behind: Behind) -> None:
    with behind(1) as app:
        assert request_info(app, CALLER) == {"address": CALLER, "tls": True}
        assert request_info(app, f"1.2.3.4, {CALLER}") == {"address": CALLER, "tls": True}, (
            "the caller made up the first"
        )


def test_of_two_trusted_proxies_the_outer_one_counts(behind: Behind) -> None:
    with behind(2) as app:
        assert request_info(app, f"1.2.3.4, {CALLER}, 10.0.0.1", "https, http") == {"address": CALLER, "tls": True}
        assert request_info(app, CALLER, "https") == {"address": PROXY, "tls": False}, (
            "one was left out: nothing is believed"
        )


def test_flags_that_look_at_the_address_see_the_callers_own(behind: Behind) -> None:
    strategy = {"name": "remoteAddress", "parameters": {"IPs": CALLER}}
    state = {"features": [{"name": "office-only", "enabled": True, "strategies": [strategy]}]}
    with behind(1) as app:
        installation = Installation(app)
        taken = app.test_client().post(
            "/api/environments/production/import", data=encode(state), headers=_headers(installation.token("admin"))
        )
        assert taken.status_code == 200, taken.text
        installation.publish()
        token = installation.token("frontend")
        for forwarded, on in ((CALLER, ["office-only"]), ("198.51.100.9", [])):
            answer = app.test_client().get(
                "/api/frontend",
                headers={"Authorization": token, "X-Forwarded-For": forwarded},
                environ_base={"REMOTE_ADDR": PROXY},
            )
            assert [toggle["name"] for toggle in answer.get_json()["toggles"]] == on


def test_metrics_stay_closed_to_whoever_comes_through_a_proxy(behind: Behind) -> None:
    with behind(1) as app:
        headers = {"X-Forwarded-For": "127.0.0.1"}
        answer = app.test_client().get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"})
        assert answer.status_code == 401


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": token, "Content-Type": "application/json"}
