"""Nobody connects any more, and who is connected is heard; in a process of its own, whose listeners all change."""

import subprocess
import sys

from tests.serving import ROOT

PROGRAM = """
import socket
from control_plane.gateway import listeners

with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
    server, _ = listener.accept()
    queued = socket.create_connection(listener.getsockname())
    queued.sendall(b"queued")
    listeners.ignore_connections()
    client.sendall(b"accepted")
    print(server.recv(100).decode())
    print(listener.accept()[0].recv(100).decode())
    try:
        socket.create_connection(listener.getsockname(), timeout=0.3)
    except TimeoutError:
        print("nobody answers")
"""


def test_what_was_accepted_or_waits_for_it_is_heard_and_nobody_else_connects() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == ["accepted", "queued", "nobody answers"], done.stderr
