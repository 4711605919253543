"""Of an SDK's report counts what can be read; nothing of an interval is lost for one odd field."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from flags.usage.reporter import REPORTER

Call = Callable[..., TestResponse]


def counted(app: Flask) -> dict[tuple[str, str], int]:
    """Return the usage that was counted, by flag and answer."""
    return {(key.flag, key.answer): count for key, count in REPORTER.get(app).usage.take().answers.items()}


def report(call: Call, toggle: Mapping[str, Any], **fields: Any) -> TestResponse:
    body = {"appName": "shop", "bucket": {"toggles": {"f": {"yes": 2, "no": 1}, "odd": toggle}}} | fields
    return call("POST", "/api/client/metrics", kind="client", json=body)


F = {("f", "yes"): 2, ("f", "no"): 1}


@pytest.mark.parametrize(
    ("toggle", "more"),
    [
        ({"yes": None, "no": 1}, {("odd", "no"): 1}),
        ({"yes": 3.0, "no": 1.5}, {("odd", "yes"): 3, ("odd", "no"): 1}),
        ({"yes": 3, "variants": None}, {("odd", "yes"): 3}),
        ({"yes": 3, "variants": {"a": None, "b": 2, "c": "many"}}, {("odd", "yes"): 3, ("odd", "variant:b"): 2}),
        ({"yes": -1, "no": 4}, {("odd", "no"): 4}),
        ({"yes": "many", "no": 4}, {("odd", "no"): 4}),
        ([], {}),
        (None, {}),
    ],
)
def test_what_can_be_read_is_counted(call: Call, app: Flask, toggle: Any, more: dict[tuple[str, str], int]) -> None:
    assert report(call, toggle).status_code == 202
    assert counted(app) == F | more


@pytest.mark.parametrize(
    "fields",
    [
        {"appName": "x" * 600},
        {"instanceId": 7},
        {"impactMetrics": [{"name": "m", "type": "unknown"}]},
        {"impactMetrics": [{"name": "m", "type": "counter", "samples": [{"labels": None, "value": 1}]}]},
        {"impactMetrics": "none"},
        {"impactMetrics": [None, 7]},
    ],
)
def test_an_odd_field_costs_no_count(call: Call, app: Flask, fields: Any) -> None:
    assert report(call, {"yes": 0}, **fields).status_code == 202
    assert counted(app) == F


@pytest.mark.parametrize("name", ["odd\\u0000", "odd\\ud800"])
def test_a_name_that_no_database_stores_costs_no_other_count(call: Call, app: Flask, name: str) -> None:
    body = '{"appName": "shop", "bucket": {"toggles": {"f": {"yes": 2, "no": 1}, "%s": {"yes": 4}}}}'
    headers = {"Content-Type": "application/json"}
    answered = call("POST", "/api/client/metrics", kind="client", data=body.replace("%s", name), headers=headers)
    assert answered.status_code == 202
    assert counted(app) == F


def test_a_body_that_is_no_json_is_refused_as_before(call: Call) -> None:
    headers = {"Content-Type": "application/json"}
    answered = call("POST", "/api/client/metrics", kind="client", data='{"appName": "shop", ', headers=headers)
    assert answered.status_code == 400


def test_a_measurement_beside_one_that_can_not_be_read_is_taken(call: Call, app: Flask) -> None:
    good = {"name": "good", "type": "counter", "samples": [{"labels": None, "value": 2}]}
    bad = {"name": "bad", "type": "histogram", "samples": [{"buckets": [{"le": [], "count": 1}], "sum": 1, "count": 1}]}
    report(call, {}, impactMetrics=[good, {"name": "odd", "type": "unknown"}, bad])
    assert {key.name for key in REPORTER.get(app).usage.take().increments} >= {"good"}


def test_what_was_left_out_is_named_in_a_log_line(call: Call) -> None:
    with capture_logs() as logs:
        report(call, {"yes": -1, "no": 1})
    (line,) = [each for each in logs if each["event"] == "flags.report_read_in_part"]
    assert line["dropped"] == ["bucket.toggles.odd.yes"]


def test_a_relays_rows_are_taken_one_by_one(call: Call, app: Flask) -> None:
    row = {"featureName": "f", "appName": "shop", "environment": "production", "yes": 2, "no": 1}
    body = {"applications": [{}], "metrics": [row, row | {"featureName": None}, 7]}
    assert call("POST", "/api/client/metrics/bulk", kind="client", json=body).status_code == 202
    assert counted(app) == F


@pytest.mark.parametrize("body", [[], {}, {"appName": ""}, {"appName": None, "bucket": None}, 7])
def test_a_report_of_nobody_is_refused(call: Call, body: Any) -> None:
    answer = call("POST", "/api/client/metrics", kind="client", json=body)
    assert (answer.status_code, answer.get_json()["name"]) == (400, "BadDataError")


def test_a_report_of_which_nothing_is_left_is_refused(call: Call) -> None:
    body = {"appName": "shop", "bucket": {"toggles": {"f": {"yes": "many"}}}}
    answer = call("POST", "/api/client/metrics", kind="client", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["details"][0]["path"] == "bucket.toggles.f.yes"


def test_an_sdk_may_say_its_instance_as_a_number(call: Call) -> None:
    body = {"appName": "shop", "instanceId": 17, "sdkVersion": None}
    assert call("POST", "/api/client/register", kind="client", json=body).status_code == 202
