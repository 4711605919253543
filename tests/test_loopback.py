"""No test reaches another machine unnoticed."""

import socket

import pytest

from tests.loopback import OutsideError
from tests.processes import free_port

ELSEWHERE = "192.0.2.1"  # reserved for documentation: nobody has it


def test_another_machine_can_not_be_connected_to() -> None:
    with socket.socket() as caller, pytest.raises(OutsideError, match=ELSEWHERE):
        caller.connect((ELSEWHERE, 80))


def test_another_machine_can_not_be_sent_a_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as caller, pytest.raises(OutsideError, match=ELSEWHERE):
        caller.sendto(b"hello", (ELSEWHERE, 53))


def test_the_name_of_another_machine_can_not_be_looked_up() -> None:
    with pytest.raises(OutsideError, match=r"example\.test"):
        socket.getaddrinfo("example.test", 443)


def test_this_machine_can_be_reached_by_name_and_address() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port)).close()
