"""How a relay follows a server that streams, one that only answers, and one that does neither for a while."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.platform.problems import Problem
from flags.relay import sync
from flags.relay.sync import UpstreamSync
from flags.relay.upstream import Event, Poll, Upstream, UpstreamError

FLAG = {"name": "a", "enabled": True, "strategies": [{"name": "default"}]}
PATIENCE_SECONDS = 10


class Server(Upstream):
    """An upstream that answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.streams: list[list[Event] | UpstreamError] = []
        self.polls: list[Poll | UpstreamError] = []
        self.asked: list[tuple[str, object]] = []
        self.idle = threading.Event()

    def follow(self, _token: str, last_id: str | None) -> Iterator[Event]:
        self.asked.append(("stream", last_id))
        answer = self.streams.pop(0) if self.streams else None
        if isinstance(answer, UpstreamError):
            raise answer
        yield from answer or ()
        if not self.streams:
            self.idle.wait(PATIENCE_SECONDS)

    def poll(self, _token: str, etag: str) -> Poll:
        self.asked.append(("poll", etag))
        answer = self.polls.pop(0) if self.polls else Poll(etag, None)
        if isinstance(answer, UpstreamError):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing longer than a moment."""
    monkeypatch.setattr(sync, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(sync, "BACKOFF_SECONDS", (0.001, 0.01))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.idle.set()


@pytest.fixture
def follow(server: Server, tmp_path: Path) -> Iterator[Callable[[], UpstreamSync]]:
    """Start to follow the server."""
    made = []

    def follow() -> UpstreamSync:
        follower = UpstreamSync(server, tmp_path)
        follower.start("production", "T")
        made.append(follower)
        return follower

    yield follow
    for follower in made:
        follower.stop()


def hydration(*features: dict[str, Any]) -> dict[str, Any]:
    return {"events": [{"type": "hydration", "eventId": 1, "features": list(features), "segments": []}]}


def names(follower: UpstreamSync) -> list[str]:
    payloads = follower.cache.get("production")
    return list(payloads.feature_set.contents.features) if payloads else []


def eventually(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_it_takes_what_is_streamed_and_comes_back_from_there(
    server: Server, follow: Callable[[], UpstreamSync]
) -> None:
    update = {"events": [{"type": "feature-updated", "eventId": 8, "feature": {**FLAG, "name": "b"}}]}
    server.streams = [[Event("7", hydration(FLAG)), Event()], [Event("8.5f", update)]]
    follower = follow()
    eventually(lambda: names(follower) == ["a", "b"])
    assert server.asked == [("stream", None), ("stream", "7")]


@pytest.mark.parametrize("status", [404, 429])
def test_where_there_is_no_stream_it_polls_at_once(
    server: Server, follow: Callable[[], UpstreamSync], status: int
) -> None:
    server.streams = [UpstreamError("-", status)]
    server.polls = [Poll('"1"', {"features": [FLAG], "segments": [], "meta": {"revisionId": 5}})]
    follower = follow()
    eventually(lambda: names(follower) == ["a"])
    eventually(lambda: ("poll", '"1"') in server.asked)
    assert server.asked[:2] == [("stream", None), ("poll", "")]


def test_it_tries_the_stream_a_few_times_before_it_polls(server: Server, follow: Callable[[], UpstreamSync]) -> None:
    server.streams = [UpstreamError("away")] * 3
    server.polls = [UpstreamError("away"), Poll('"1"', {"features": [FLAG]})]
    follower = follow()
    eventually(lambda: names(follower) == ["a"])
    assert [kind for kind, _ in server.asked][:4] == ["stream", "stream", "stream", "poll"]


def test_after_polling_a_stream_begins_with_everything(
    server: Server, follow: Callable[[], UpstreamSync], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "STREAM_AGAIN_SECONDS", 0.05)
    server.streams = [[Event("7", hydration(FLAG))], UpstreamError("-", 404), [Event("9", hydration())]]
    server.polls = [Poll('"1"', {"features": [FLAG, {**FLAG, "name": "b"}]})]
    follower = follow()
    eventually(lambda: ("poll", "") in server.asked)
    eventually(lambda: names(follower) == [] and bool(follower.cache.get("production")))
    assert [last for kind, last in server.asked if kind == "stream"] == [None, "7", None]


def test_other_flags_under_an_id_that_came_back_are_served(server: Server, follow: Callable[[], UpstreamSync]) -> None:
    """After a restore upstream the revisions are counted again."""
    server.streams = [[Event("7", hydration(FLAG))], [Event("7", hydration({**FLAG, "name": "b"}))]]
    follower = follow()
    eventually(lambda: names(follower) == ["b"])
    payloads = follower.current("production")
    assert [each["name"] for each in json.loads(payloads.features.body)["features"]] == ["b"]


@pytest.mark.parametrize(
    "document",
    [
        {
            "events": [
                {"type": "feature-updated", "eventId": 8, "feature": {**FLAG, "name": "b"}},
                {"type": "hydration"},
            ]
        },
        {"events": [{"type": "hydration", "features": [{"name": "b"}, None]}]},
        {"nothing": "that is known"},
        ["no", "object"],
    ],
)
def test_after_something_that_can_not_be_used_it_asks_for_everything_again(
    server: Server, follow: Callable[[], UpstreamSync], document: object
) -> None:
    """Half of it may have been taken already, and the thread that follows must not end with it."""
    server.streams = [
        [Event("7", hydration(FLAG)), Event("8", document)],
        [Event("9", hydration({**FLAG, "name": "c"}))],
    ]
    follower = follow()
    eventually(lambda: names(follower) == ["c"])
    assert server.asked[:2] == [("stream", None), ("stream", None)]


def test_a_disk_that_takes_nothing_keeps_no_change_from_who_asks(server: Server, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("where the folder should be")
    server.streams = [[Event("7", hydration(FLAG)), Event("8", hydration({**FLAG, "name": "b"}))]]
    follower = UpstreamSync(server, tmp_path / "full")
    follower.start("production", "T")
    eventually(lambda: names(follower) == ["b"])
    follower.stop()
    assert server.asked == [("stream", None)], "it went on with the stream that it had"


def test_a_feature_set_has_the_id_that_it_has_upstream(server: Server, follow: Callable[[], UpstreamSync]) -> None:
    server.streams = [[Event("4294967.5f", hydration(FLAG))]]
    follower = follow()
    eventually(lambda: names(follower) == ["a"])
    assert follower.current("production").feature_set.id == 4_294_967


def test_what_it_knows_nothing_of_is_no_wrong_token(follow: Callable[[], UpstreamSync]) -> None:
    with pytest.raises(Problem) as refused:
        follow().current("staging")
    assert refused.value.status == 503
