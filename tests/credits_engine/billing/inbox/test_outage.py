"""The database goes away while Stripe delivers and a worker works: nothing is acknowledged and lost."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from control_plane.platform.db.database import db
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe


class TcpProxy:
    """A proxy in front of a server, which can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._is_cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection and refuse new ones."""
        self._is_cut = True
        while self._ends:
            _hang_up(self._ends.pop())

    def mend(self) -> None:
        """Let new connections through again."""
        self._is_cut = False

    def close(self) -> None:
        """Take the proxy down."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _hang_up(near)
                continue
            far = socket.create_connection(self._target)
            self._ends += [near, far]
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


@pytest.fixture
def proxy(postgresql_url: str) -> Iterator[TcpProxy]:
    parts = urlsplit(postgresql_url)
    assert parts.hostname
    assert parts.port
    found = TcpProxy(parts.hostname, parts.port)
    yield found
    found.close()


@pytest.fixture
def billing(settings: Settings, postgresql_url: str, proxy: TcpProxy) -> Iterator[Billing]:
    """Billing whose application reaches its database through the proxy."""
    parts = urlsplit(postgresql_url)
    url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}").geturl()
    with application(replace(settings, database_url=url)) as app, app.app_context():
        yield Billing(app, START)
        db.engine.dispose()


@pytest.mark.database("postgresql")
def test_an_outage_costs_time_and_no_event(billing: Billing, proxy: TcpProxy) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    half = len(stripe.events) // 2
    for event in stripe.events[:half]:
        assert billing.post(event).status_code == 200
    proxy.cut()
    refused = billing.post(stripe.events[half])
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    proxy.mend()
    assert len(billing.states()) == half
    for event in stripe.events:
        assert billing.post(event).status_code == 200
    billing.work(at=datetime.now(UTC) + timedelta(seconds=1))
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert billing.user("ada") == ("pro", START)


@pytest.mark.database("postgresql")
def test_a_worker_that_lost_the_database_goes_on_when_it_is_back(billing: Billing, proxy: TcpProxy) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.deliver(*stripe.events)
    proxy.cut()
    with pytest.raises(Exception, match=r"connect|closed|terminat"):
        billing.work()
    proxy.mend()
    billing.work(at=START + timedelta(minutes=2))
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert billing.user("ada") == ("pro", START)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _hang_up(source)
    _hang_up(target)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
