"""Streams and deltas: what SDKs that follow are sent, and when a stream ends."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import tokens
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import change_feed
from flags.client_features import delta_log
from flags.client_features.cache import FeatureCache
from flags.client_features.delta_log import id_of_tag
from flags.protocols import sse
from flags.protocols.sse import STREAMS, SseConnections
from tests.installation import Installation

Call = Callable[..., TestResponse]
STREAM, DELTA = "/api/client/streaming", "/api/client/delta"
NODE, PYTHON = {"unleash-sdk": "unleash-node-sdk:6.12.1"}, {"unleash-sdk": "unleash-python-sdk:6.9.1"}


class Listener:
    """A reader of an event stream, frame by frame."""

    def __init__(self, answer: TestResponse) -> None:
        assert answer.status_code == 200, answer.text
        self.answer = answer
        self._frames: Iterator[bytes] = answer.iter_encoded()

    def frame(self) -> dict[str, str]:
        """Return the fields of the next frame; a comment has none."""
        lines = next(self._frames).decode().strip().splitlines()
        return dict(line.split(": ", 1) for line in lines if not line.startswith(":"))

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events in the next frame, which must be one of this name."""
        frame = self.frame()
        assert frame["event"] == name
        events: list[dict[str, Any]] = json.loads(frame["data"])["events"]
        assert all(event["eventId"] <= id_of_tag(frame["id"]) for event in events)
        return events


@pytest.fixture
def follow() -> Iterator[Callable[[TestResponse], Listener]]:
    """Read an answer as a stream whose opening frame says when to come back; it is closed with the test."""
    opened = []

    def follow(answer: TestResponse) -> Listener:
        listener = Listener(answer)
        opened.append(listener)
        assert listener.frame() == {"retry": "2000"}
        return listener

    yield follow
    for listener in opened:
        listener.answer.close()


@pytest.fixture
def listen(call: Call, follow: Callable[[TestResponse], Listener]) -> Callable[..., Listener]:
    """Open the stream of an SDK."""
    return lambda **options: follow(call("GET", STREAM, kind="client", **options))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_a_stream_begins_with_everything_and_goes_on_with_changes(
    listen: Callable[..., Listener], installation: Installation
) -> None:
    stream = listen()
    [everything] = stream.events("unleash-connected")
    assert everything["type"] == "hydration"
    assert [feature["enabled"] for feature in everything["features"]] == [False]
    installation.move(3)
    installation.publish()
    [change] = stream.events("unleash-updated")
    assert (change["type"], change["feature"]["enabled"]) == ("feature-updated", True)


def test_who_comes_back_is_told_what_was_missed(listen: Callable[..., Listener], installation: Installation) -> None:
    first = listen().frame()
    for phase in (1, 3):
        installation.move(phase)
        installation.publish()
    again = listen(headers={"Last-Event-ID": first["id"]}).events("unleash-connected")
    assert kinds(again) == ["feature-updated"] * len(again)
    assert again[-1]["feature"]["enabled"] is True


@pytest.mark.parametrize("last", ["1", "999999999", "nonsense", ""])
def test_who_comes_back_after_too_long_is_told_everything(listen: Callable[..., Listener], last: str) -> None:
    assert kinds(listen(headers={"Last-Event-ID": last}).events("unleash-connected")) == ["hydration"]


def test_who_missed_nothing_is_told_nothing(listen: Callable[..., Listener]) -> None:
    first = listen().frame()
    assert listen(headers={"Last-Event-ID": first["id"]}).events("unleash-connected") == []


def test_who_holds_other_flags_under_an_id_that_came_back_is_told_everything(
    call: Call, listen: Callable[..., Listener]
) -> None:
    """After a restore the revisions are counted again."""
    tag = listen().frame()["id"]
    other = f"{id_of_tag(tag)}.{'0' * 16}"
    assert other != tag
    assert kinds(listen(headers={"Last-Event-ID": other}).events("unleash-connected")) == ["hydration"]
    delta = call("GET", DELTA, kind="client", headers={"If-None-Match": f'"{other}"'})
    assert (delta.status_code, kinds(delta.get_json()["events"])) == (200, ["hydration"])


def test_only_so_many_feature_sets_are_remembered(
    listen: Callable[..., Listener], installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delta_log, "DELTAS_MAX", 3)
    first = listen().frame()
    for step in range(3):
        installation.move(3, step)
        installation.publish()
    assert kinds(listen(headers={"Last-Event-ID": first["id"]}).events("unleash-connected")) == ["hydration"]


def test_a_quiet_stream_is_kept_alive(listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    stream = listen()
    stream.events("unleash-connected")
    assert [stream.frame() for _ in range(3)] == [{}, {}, {}]
    assert sse.KEEP_ALIVE_SECONDS < 10


def test_where_somebody_finds_no_place_those_who_may_have_left_are_looked_for_at_once(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = [0.0]
    monkeypatch.setattr(sse, "monotonic", lambda: passed[0])
    streams = SseConnections(app, 1)
    held = streams.enter(lambda: True)
    assert held is not None
    frames = sse.follow(FeatureCache(), held, lambda: None, "", frame=lambda *_: b"")
    asked = [next(frames)]
    passed[0] += sse.CROWDED_KEEP_ALIVE_SECONDS
    asked.append(next(frames))
    assert streams.enter(lambda: True) is None
    asked.append(next(frames))
    passed[0] += sse.KEEP_ALIVE_SECONDS
    asked.append(next(frames))
    passed[0] += sse.CROWDED_KEEP_ALIVE_SECONDS
    asked.append(next(frames))
    streams.leave(held)
    assert asked == [b"", b"", sse.COMMENT, b"", b""]


def test_a_stream_ends_with_its_token(listen: Callable[..., Listener], app: Flask) -> None:
    stream = listen()
    stream.frame()
    with app.app_context(), transaction() as session:
        [token] = tokens.list_tokens(session)
        tokens.revoke_token(session, token.id, now=datetime.now(UTC), actor="test")
    with pytest.raises(StopIteration):
        stream.frame()


def test_a_stream_ends_with_the_process(listen: Callable[..., Listener], app: Flask) -> None:
    stream = listen()
    stream.frame()
    with app.app_context():
        threading.Timer(0.05, change_feed.feed().stop).start()
    with pytest.raises(StopIteration):
        stream.frame()


def test_where_there_is_no_place_sdks_are_sent_to_what_they_can_do_instead(
    call: Call, listen: Callable[..., Listener], app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(STREAMS.get(app), "limit", 1)
    taken = listen()
    polls, waits = (call("GET", STREAM, kind="client", headers=sdk) for sdk in (NODE, PYTHON))
    assert (polls.status_code, waits.status_code) == (429, 503)
    assert polls.headers["Retry-After"] == waits.headers["Retry-After"] == "2"
    taken.answer.close()
    listen()


def test_a_delta_is_asked_for_by_the_last_feature_set(call: Call, installation: Installation) -> None:
    first = call("GET", DELTA, kind="client")
    assert kinds(first.get_json()["events"]) == ["hydration"]
    seen = {"If-None-Match": first.headers["ETag"]}
    assert id_of_tag(first.headers["ETag"].strip('"')) == first.get_json()["events"][0]["eventId"]
    assert call("GET", DELTA, kind="client", headers=seen).status_code == 304
    installation.move(3)
    then = call("GET", DELTA, kind="client", headers=seen)
    assert kinds(then.get_json()["events"]) == ["feature-updated"]
    assert id_of_tag(then.headers["ETag"].strip('"')) == then.get_json()["events"][-1]["eventId"]
    assert kinds(call("GET", DELTA, kind="client", headers={"If-None-Match": '"1"'}).get_json()["events"]) == [
        "hydration"
    ]


def test_a_change_elsewhere_wakes_nobody(call: Call, installation: Installation, app: Flask) -> None:
    before = call("GET", DELTA, kind="client")
    with app.app_context(), transaction() as session:
        change_feed.publish(session, "billing", "somebody", now=datetime.now(UTC))
    assert call("GET", DELTA, kind="client", headers={"If-None-Match": before.headers["ETag"]}).status_code == 304


def test_openfeature_providers_hear_when_to_evaluate_again(
    call: Call, follow: Callable[[TestResponse], Listener], app: Flask, installation: Installation
) -> None:
    def channel() -> str:
        answer = call("POST", "/ofrep/v1/evaluate/flags", kind="frontend", json={"context": {"targetingKey": "7"}})
        [stream] = answer.get_json()["eventStreams"]
        return str(stream["endpoint"]["requestUri"])

    stream = follow(app.test_client().get(channel()))
    installation.move(3)
    installation.publish()
    frame = stream.frame()
    assert (frame["event"], json.loads(frame["data"])["type"]) == ("message", "refetchEvaluation")
    late = channel()
    installation.move(3, 1)
    installation.publish()
    missed = follow(app.test_client().get(late))
    assert missed.frame()["event"] == "message"
    assert app.test_client().get(f"{late}x").status_code == 403
    assert app.test_client().get("/ofrep/v1/events").status_code == 403
    assert FLAG in call("POST", "/ofrep/v1/evaluate/flags", kind="frontend").text
