"""One thread for all streams: each is sent what it has to say, and none waits for the reader of another."""

import threading
import time
from collections.abc import Iterator

import pytest
from granian._granian import RSGIProtocolClosed as ProtocolClosed

from control_plane.gateway import shared_streams
from control_plane.gateway.shared_streams import SharedStream, SharedStreams
from control_plane.gateway.slow_readers import Pace, StreamReader

SECONDS = 30.0


class Reader(StreamReader):
    """A reader who takes things at the pace that a test says."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", "1")
        self.now = Pace.WITH_US

    def pace(self, size: int) -> Pace:
        assert size > 0
        return self.now


class Client:
    """A stream as the server has it, and what its client got."""

    def __init__(self) -> None:
        self.reader, self.got, self.closed = Reader(), list[bytes](), threading.Event()
        self.news, self.is_away = list[bytes](), False
        self.arrived = threading.Semaphore(0)
        self.stream = SharedStream(self, self.reader, self._frames(), self)

    def send_bytes(self, frame: bytes) -> Iterator[None]:
        if self.is_away:
            raise ProtocolClosed
        self.got.append(frame)
        self.arrived.release()
        return iter(())

    def close(self) -> None:
        self.closed.set()

    def say(self, frame: bytes, streams: SharedStreams) -> None:
        self.news.append(frame)
        streams.wake()

    def _frames(self) -> Iterator[bytes]:
        while True:
            frame = self.news.pop(0) if self.news else b""
            if frame == b"end":
                return
            if frame == b"break":
                raise RuntimeError("Broken.")
            yield frame


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> SharedStreams:
    """Streams that nobody asks without a reason."""
    monkeypatch.setattr(shared_streams, "PULSE_SECONDS", 3600.0)
    monkeypatch.setattr(shared_streams, "BEHIND_SECONDS", 3600.0)
    return SharedStreams()


@pytest.fixture
def clients(streams: SharedStreams) -> list[Client]:
    made = [Client() for _ in range(3)]
    for client in made:
        client.news.append(b"hello")
        streams.add(client.stream)
    for client in made:
        assert client.arrived.acquire(timeout=SECONDS)
    return made


def test_what_there_is_to_say_is_sent_when_it_is_said(streams: SharedStreams, clients: list[Client]) -> None:
    for client in clients:
        client.news.extend([b"first", b"second"])
    streams.wake()
    for client in clients:
        for _ in range(2):
            assert client.arrived.acquire(timeout=SECONDS)
        assert client.got == [b"hello", b"first", b"second"]


def test_all_are_sent_by_one_thread(streams: SharedStreams, clients: list[Client]) -> None:
    assert [each.name for each in threading.enumerate() if each is streams._thread] == ["event-streams"]
    assert len(clients) == 3


@pytest.mark.parametrize("end", [b"end", b"break"])
def test_a_stream_that_ends_gives_its_place_back_and_the_others_go_on(
    streams: SharedStreams, clients: list[Client], end: bytes
) -> None:
    ended, *others = clients
    ended.say(end, streams)
    assert ended.closed.wait(SECONDS)
    for client in others:
        client.say(b"more", streams)
        assert client.arrived.acquire(timeout=SECONDS)
        assert not client.closed.is_set()


def test_a_client_that_left_is_noticed_when_there_is_something_to_say(
    streams: SharedStreams, clients: list[Client]
) -> None:
    clients[0].is_away = True
    clients[0].say(b"more", streams)
    assert clients[0].closed.wait(SECONDS)


def test_a_reader_who_is_behind_gets_everything_later_and_holds_up_nobody(
    streams: SharedStreams, clients: list[Client]
) -> None:
    slow, quick, _ = clients
    slow.reader.now = Pace.BEHIND
    slow.news.extend([b"one", b"two"])
    quick.say(b"one", streams)
    assert quick.arrived.acquire(timeout=SECONDS)
    assert slow.got == [b"hello"]
    slow.reader.now = Pace.WITH_US
    streams.wake()
    for _ in range(2):
        assert slow.arrived.acquire(timeout=SECONDS)
    assert slow.got == [b"hello", b"one", b"two"]


def test_a_reader_who_stopped_is_ended(streams: SharedStreams, clients: list[Client]) -> None:
    clients[0].reader.now = Pace.GONE
    clients[0].say(b"more", streams)
    assert clients[0].closed.wait(SECONDS)
    assert clients[0].got == [b"hello"]


def test_without_a_reason_each_stream_is_asked_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_streams, "PULSE_SECONDS", 0.01)
    streams, client = SharedStreams(), Client()
    streams.add(client.stream)
    client.news.append(b"still here")
    assert client.arrived.acquire(timeout=SECONDS)
    client.news.append(b"end")
    assert client.closed.wait(SECONDS)


def test_while_a_reader_is_behind_it_is_asked_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_streams, "PULSE_SECONDS", 3600.0)
    monkeypatch.setattr(shared_streams, "BEHIND_SECONDS", 0.01)
    streams, client = SharedStreams(), Client()
    client.reader.now = Pace.BEHIND
    client.news.append(b"late")
    streams.add(client.stream)
    while not client.stream.is_behind:
        time.sleep(0.01)
    client.reader.now = Pace.WITH_US
    assert client.arrived.acquire(timeout=SECONDS)
    assert client.got == [b"late"]


def test_for_one_who_is_behind_the_others_are_not_asked_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_streams, "PULSE_SECONDS", 3600.0)
    monkeypatch.setattr(shared_streams, "BEHIND_SECONDS", 0.01)
    streams, quick, slow = SharedStreams(), Client(), Client()
    slow.reader.now = Pace.BEHIND
    slow.news.append(b"late")
    for client in (quick, slow):
        streams.add(client.stream)
    while not slow.stream.is_behind:
        time.sleep(0.01)
    quick.news.append(b"unasked")
    slow.reader.now = Pace.WITH_US
    assert slow.arrived.acquire(timeout=SECONDS)
    assert quick.got == []
    streams.wake()
    assert quick.arrived.acquire(timeout=SECONDS)


def test_where_no_thread_can_be_had_the_next_stream_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    streams, first, second = SharedStreams(), Client(), Client()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            streams.add(first.stream)
    second.news.append(b"hello")
    streams.add(second.stream)
    assert second.arrived.acquire(timeout=SECONDS)
