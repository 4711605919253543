"""Who is connected, what they were given, and what they report."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from flags import store
from flags.usage import reporter
from tests.installation import Installation

Call = Callable[..., TestResponse]
SHOP = {"unleash-connection-id": "c-1", "unleash-appname": "shop", "unleash-sdk": "unleash-python-sdk:6.9.1"}


@pytest.fixture
def write(app: Flask) -> Callable[[], None]:
    """Write down what was heard, as the schedule does."""

    def write() -> None:
        with app.app_context():
            reporter.reporter().write(datetime.now(UTC))

    return write


def test_an_instance_shows_with_the_feature_set_it_has(
    call: Call, installation: Installation, write: Callable[[], None]
) -> None:
    call("GET", "/api/client/features", kind="client", headers=SHOP)
    write()
    board = call("GET", "/api/connections", kind="admin").get_json()
    [connection] = board["connections"]
    assert connection["revisionId"] == board["revisionIds"]["production"]
    assert (connection["connectionId"], connection["application"], connection["mode"]) == ("c-1", "shop", "polling")
    assert (connection["sdk"], connection["current"]) == ("unleash-python-sdk:6.9.1", True)
    installation.move(3)
    assert call("GET", "/api/connections", kind="admin").get_json()["connections"][0]["current"] is False
    call("GET", "/api/client/features", kind="client", headers=SHOP)
    write()
    assert call("GET", "/api/connections", kind="admin").get_json()["connections"][0]["current"] is True
    assert call("GET", "/api/connections?environment=staging", kind="admin").get_json()["connections"] == []


def test_an_instance_that_introduces_itself_is_known_before_it_asks(call: Call, write: Callable[[], None]) -> None:
    said = {"appName": "shop", "connectionId": "c-2", "sdkVersion": "unleash-node-sdk:6.12.1"}
    call("POST", "/api/client/register", kind="client", json=said)
    write()
    [connection] = call("GET", "/api/connections", kind="admin").get_json()["connections"]
    assert (connection["connectionId"], connection["sdk"], connection["revisionId"]) == ("c-2", said["sdkVersion"], 0)


def test_answers_are_added_up_by_application(call: Call, write: Callable[[], None]) -> None:
    for _ in range(2):
        toggles = {FLAG: {"yes": 3, "no": 1, "variants": {"blue": 2}}}
        call("POST", "/api/client/metrics", kind="client", json={"appName": "shop", "bucket": {"toggles": toggles}})
        write()
    found = call("GET", f"/api/flags/{FLAG}/usage", kind="admin").get_json()
    assert found["applications"] == {"shop": {"no": 2, "variant:blue": 4, "yes": 6}}


def test_a_relay_reports_only_for_its_tokens_environment(call: Call, write: Callable[[], None]) -> None:
    def row(environment: str) -> dict[str, Any]:
        at = datetime.now(UTC).isoformat()
        return {"featureName": FLAG, "appName": "shop", "environment": environment, "timestamp": at, "yes": 5}

    call("POST", "/api/client/metrics/bulk", kind="client", json={"metrics": [row("production"), row("staging")]})
    write()
    path = f"/api/flags/{FLAG}/usage?environment="
    ours, other = (
        call("GET", path + each, kind="admin").get_json()["applications"] for each in ("production", "staging")
    )
    assert (ours, other) == ({"shop": {"yes": 5}}, {})


def test_measurements_are_added_and_levels_replaced(call: Call, write: Callable[[], None]) -> None:
    def metric(name: str, kind: str, **sample: Any) -> dict[str, Any]:
        return {"name": name, "help": "", "type": kind, "samples": [{"labels": {"appName": "shop"}, **sample}]}

    buckets = [{"le": 0.5, "count": 1}, {"le": "+Inf", "count": 2}]
    for value in (2, 3):
        measured = [
            metric("failures", "counter", value=value),
            metric("depth", "gauge", value=value),
            metric("latency", "histogram", count=2, sum=1.5, buckets=buckets),
        ]
        body = {"appName": "shop", "bucket": None, "impactMetrics": measured}
        assert call("POST", "/api/client/metrics", kind="client", json=body).status_code == 202
        write()
    rows = call("GET", "/api/measurements", kind="admin").get_json()["measurements"]
    assert {(row["name"], row["part"]): row["value"] for row in rows} == {
        ("depth", "value"): 3,
        ("failures", "value"): 5,
        ("latency", "count"): 4,
        ("latency", "le:+Inf"): 4,
        ("latency", "le:0.5"): 2,
        ("latency", "sum"): 3,
    }
    assert {tuple(row["labels"].items()) for row in rows} == {(("appName", "shop"),)}


def test_what_cant_be_written_is_written_later(
    call: Call, app: Flask, write: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("INSERT", {}, Exception("away"))

    toggles = {FLAG: {"yes": 1, "no": 0}}
    call("POST", "/api/client/metrics", kind="client", json={"appName": "shop", "bucket": {"toggles": toggles}})
    with monkeypatch.context() as broken:
        broken.setattr(store, "put_connections", fail)
        with pytest.raises(OperationalError):
            write()
    write()
    assert call("GET", f"/api/flags/{FLAG}/usage", kind="admin").get_json()["applications"]["shop"]["yes"] == 1
