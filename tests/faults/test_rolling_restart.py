"""Two servers behind the shipped nginx are restarted one after the other: no consumption fails."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests
from flask import Flask

from tests.billing_office import Office
from tests.clients.test_nginx import CONFIGURATION, SERVER
from tests.faults.ledger import assert_whole
from tests.faults.test_credits_killed import Crowd, prepared
from tests.processes import dies_with_us, free_port
from tests.programs import path_of
from tests.serving import serving

PATIENCE_SECONDS = 20
OPTIONS = "max_fails=0"
"""Of the server's line in the shipped configuration."""


@pytest.mark.database("postgresql")
def test_a_restart_of_one_server_after_the_other_fails_nobody(app: Flask, database_url: str, tmp_path: Path) -> None:
    Office(app).plan()
    token, ports = prepared(app), (free_port(), free_port())
    for port in ports:
        (tmp_path / str(port)).mkdir()
    with ExitStack() as stack:
        servers = {port: stack.enter_context(ExitStack()) for port in ports}

        def start(port: int) -> None:
            settings = SERVER | {"PORT": str(port), "DATABASE_URL": database_url}
            servers[port].enter_context(serving(tmp_path / str(port), **settings))

        for port in ports:
            start(port)
        crowd = Crowd(stack.enter_context(nginx(tmp_path, ports)), token)
        with crowd:
            for port in ports:
                crowd.wait_for_more()
                servers[port].close()
                crowd.wait_for_more()
                start(port)
            crowd.wait_for_more()
    assert crowd.failures == []
    charged = {row["operation_key"] for row in assert_whole(app) if row["charged"]["analysis"]}
    assert charged == crowd.answered.keys()


@contextmanager
def nginx(folder: Path, ports: tuple[int, ...]) -> Iterator[str]:
    """The address of nginx as it is shipped, but for TLS, the limit on requests, and the servers behind it."""
    port = free_port()
    text = CONFIGURATION.read_text().replace("rate=200r/s", "rate=100000r/s")
    text = text.replace("server 127.0.0.1:8000", f" {OPTIONS}; ".join(f"server 127.0.0.1:{each}" for each in ports))
    text = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port};", text)
    text = re.sub(r"(listen \[::\]:443 ssl|ssl_\w+ [^;]*);\n", "", text)
    main = folder / "nginx.conf"
    main.write_text(f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {text} }}")
    command = [path_of("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(main)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command, preexec_fn=dies_with_us(signal.SIGTERM))  # noqa: PLW1509 - no thread forks now
    url, give_up = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE_SECONDS
    try:
        while not is_up(url):
            assert time.monotonic() < give_up
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def is_up(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).status_code == 200
    except OSError:
        return False
