"""Two servers behind the shipped nginx are restarted one after the other: no consumption fails."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from tests.faults.ledger import assert_whole
from tests.faults.test_credits_killed import CreditClients, prepared
from tests.installation import Installation
from tests.nginx import SERVER, nginx
from tests.processes import free_port
from tests.serving import serving

pytestmark = pytest.mark.faults

UNLIMITED = 100_000
"""Requests a second that nginx lets through: the limit is not what is tested here."""


@pytest.mark.database("postgresql")
def test_a_restart_of_one_server_after_the_other_fails_nobody(
    app: Flask, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Installation(app).plan()
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
        addresses = [f"127.0.0.1:{port}" for port in ports]
        proxy = stack.enter_context(nginx(tmp_path, addresses, requests_per_second=UNLIMITED))
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
        clients = CreditClients(proxy.url, token)
        with clients:
            for port in ports:
                clients.wait_for_more()
                servers[port].close()
                clients.wait_for_more()
                start(port)
            clients.wait_for_more()
    assert clients.failures == []
    charged = {row["operation_key"] for row in assert_whole(app) if row["charged"]["analysis"]}
    assert charged == clients.answered.keys()
