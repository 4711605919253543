"""Logs: one line per event, tied to its request, on standard error, never with a secret."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from flask import Flask, g

from control_plane.platform.observability import logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    logs.configure("console")


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_an_event_is_one_line_of_json_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    structlog.get_logger().info("rollout.advanced", flag="ENABLE_CREDITS_V2", note="two\nlines", step=object)
    (event,) = written(capsys)
    assert event["event"] == "rollout.advanced"
    assert event["level"] == "info"
    assert event["note"] == "two\nlines"
    assert str(event["timestamp"]).endswith("Z")


def test_a_librarys_message_takes_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    logging.getLogger("some.library").warning("took %s seconds", 3)
    (event,) = written(capsys)
    assert (event["event"], event["level"]) == ("took 3 seconds", "warning")


def test_what_is_not_worth_a_warning_is_left_to_the_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    logging.getLogger("alembic").info("context impl SQLiteImpl")
    structlog.get_logger().debug("nothing")
    assert written(capsys) == []


def test_an_event_names_the_request_that_caused_it(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    with Flask(__name__).test_request_context():
        g.request_id = "abc12345"
        structlog.get_logger().info("credits.consumed")
        logging.getLogger("some.library").warning("slow")
    assert [event["request_id"] for event in written(capsys)] == ["abc12345", "abc12345"]


@pytest.mark.parametrize("field", ["password", "new_password", "client_secret", "Authorization", "cookie", "api_key"])
def test_a_field_named_after_a_secret_is_blanked(capsys: pytest.CaptureFixture[str], field: str) -> None:
    logs.configure("json")
    structlog.get_logger().info("person.created", **{field: "hunter2"})
    (event,) = written(capsys)
    assert event[field] == "(hidden)"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_trace_shows_the_way_to_an_error_and_no_variable(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.configure(log_format)

    def fail() -> None:
        local = "hunter" + "2"
        raise RuntimeError(f"broke after {len(local)}")

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("request.failed")
    text = capsys.readouterr().err
    assert "RuntimeError: broke after 7" in text
    assert "hunter2" not in text


def test_the_console_prints_words_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("console")
    structlog.get_logger().warning("leader.changed", leading=True)
    line = capsys.readouterr().err
    assert "leader.changed" in line
    assert "leading=True" in line
    assert line.count("\n") == 1
