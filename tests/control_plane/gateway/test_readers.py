"""A stream's reader: one that takes what it is given, one that comes back late, and one that stopped."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from control_plane.gateway import slow_readers
from control_plane.gateway.slow_readers import HANDED_OVER_MAX, Pace, StreamReader

PIECE = b"x" * HANDED_OVER_MAX


class StreamConnection:
    """A connection between a sender of ours and its reader."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.reader = socket.create_connection(listener.getsockname())
            self.sender, _ = listener.accept()
        host, port = self.reader.getsockname()
        self.told = StreamReader(host, str(port))
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        while True:
            try:
                self.sender.sendall(PIECE)
            except OSError:
                return


@pytest.fixture
def connection() -> Iterator[StreamConnection]:
    connection = StreamConnection()
    with closing(connection.reader), closing(connection.sender):
        yield connection
        connection.sender.shutdown(socket.SHUT_RDWR)


def wait_until_stuck(connection: StreamConnection) -> None:
    """Wait until what was sent lies with the system, because nobody takes it."""
    give_up = time.monotonic() + 10
    while slow_readers._unread(connection.sender) <= slow_readers.UNREAD_MAX:
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_little_is_sent_without_a_look(connection: StreamConnection) -> None:
    assert connection.told.keeps_up(HANDED_OVER_MAX)


def test_a_reader_who_stopped_is_ended(connection: StreamConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_readers, "READER_SECONDS", 0.3)
    connection.reader.settimeout(10)
    wait_until_stuck(connection)
    assert not connection.told.keeps_up(HANDED_OVER_MAX + 1)
    while connection.reader.recv(1 << 20):
        pass  # what the system still held; then the end


def test_a_reader_who_is_gone_is_sent_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = listener.getsockname()[1]
    assert not StreamReader("127.0.0.1", str(nobody)).keeps_up(HANDED_OVER_MAX + 1)


def test_a_reader_who_takes_everything_keeps_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = socket.create_connection(listener.getsockname())
        sender, _ = listener.accept()
    with closing(reader), closing(sender):
        host, port = reader.getsockname()
        told = StreamReader(host, str(port))
        for _ in range(3):
            sender.sendall(b"x" * 1000)
            assert reader.recv(1000)
            assert told.keeps_up(HANDED_OVER_MAX + 1)


def test_looking_for_the_connection_leaves_no_file_open(connection: StreamConnection, tmp_path: Path) -> None:
    with (tmp_path / "no socket").open("w"):
        before = sorted(os.listdir(slow_readers.OPEN_FILES))
        for _ in range(3):
            StreamReader("127.0.0.1", "1").keeps_up(HANDED_OVER_MAX + 1)
        assert sorted(os.listdir(slow_readers.OPEN_FILES)) == before


def test_many_readers_are_found_by_one_look_at_the_open_files(
    connection: StreamConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, listed = list[str](), os.listdir

    def look(path: str) -> list[str]:
        looks.append(path)
        return listed(path)

    monkeypatch.setattr(os, "listdir", look)
    host, port = connection.reader.getsockname()
    gone = [StreamReader("127.0.0.1", str(number)) for number in range(1, 20)]
    there = [StreamReader(host, str(port)) for _ in range(20)]
    wait_until_stuck(connection)
    for _ in range(3):
        assert {each.pace(HANDED_OVER_MAX + 1) for each in there} == {Pace.BEHIND}
        assert {each.pace(HANDED_OVER_MAX + 1) for each in gone} == {Pace.GONE}
    assert len(looks) == 1


def test_a_reader_who_came_after_the_last_look_is_found(connection: StreamConnection) -> None:
    StreamReader("127.0.0.1", "1").pace(HANDED_OVER_MAX + 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = socket.create_connection(listener.getsockname())
        sender, _ = listener.accept()
    with closing(reader), closing(sender):
        host, port = reader.getsockname()
        assert StreamReader(host, str(port)).pace(HANDED_OVER_MAX + 1) is Pace.WITH_US


def test_a_file_that_is_another_connection_by_now_is_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        first = socket.create_connection(listener.getsockname())
        sender, _ = listener.accept()
        host, port = first.getsockname()
        told, number = StreamReader(host, str(port)), sender.fileno()
        assert told.pace(HANDED_OVER_MAX + 1) is Pace.WITH_US
        second = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
        os.dup2(other.fileno(), number)
        with closing(first), closing(second), closing(sender), closing(other):
            assert told.pace(HANDED_OVER_MAX + 1) is Pace.GONE
