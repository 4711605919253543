"""A server that hangs while its machine answers: nobody waits for it for good, and a slow statement is left alone."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import Select, make_url, select, text
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.database import autocommit, read_only
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.models import LeaseRow
from control_plane.platform.runtime import unresponsive_server
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.faults.network import TcpProxy
from tests.waiting import wait_until

pytestmark = pytest.mark.database("postgresql")

LEASES: Select[tuple[str]] = select(LeaseRow.name)
FAST = CompiledStatement(LEASES)


@pytest.fixture
def proxy(settings: Settings) -> Iterator[TcpProxy]:
    address = make_url(settings.database_url)
    found = TcpProxy(address.host or "", address.port or 0)
    yield found
    found.cut()


@pytest.fixture
def behind_proxy(settings: Settings, proxy: TcpProxy) -> Iterator[Flask]:
    address = make_url(settings.database_url).set(port=proxy.port).render_as_string(hide_password=False)
    with application(replace(settings, database_url=address)) as app:
        yield app


def by_session() -> None:
    with read_only() as session:
        session.execute(text("SELECT pg_sleep(0.5)"))


def by_driver() -> None:
    with autocommit() as session:
        FAST.fetch_all(session)


def under_way(app: Flask, call: Callable[[], None], pool: ThreadPoolExecutor) -> "Future[None]":
    def run() -> None:
        with app.app_context():
            call()

    return pool.submit(run)


def check_repeatedly(app: Flask, number: int = 2) -> None:
    with app.app_context():
        for _ in range(number):
            time.sleep(0.1)
            unresponsive_server.CHECK.get().check()


@pytest.mark.parametrize("call", [by_session, by_driver])
def test_who_waits_for_a_server_that_hangs_is_told_and_the_next_one_is_served(
    behind_proxy: Flask, proxy: TcpProxy, call: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unresponsive_server, "LOGIN_SECONDS", 2)
    with ThreadPoolExecutor() as pool:
        under_way(behind_proxy, call, pool).result()
        with proxy.hanging():
            waiting = under_way(behind_proxy, call, pool)
            check_repeatedly(behind_proxy)
            with pytest.raises(OperationalError):
                waiting.result(timeout=1)
        under_way(behind_proxy, call, pool).result(timeout=5)


def test_a_slow_statement_of_a_server_that_answers_is_left_alone(behind_proxy: Flask) -> None:
    with ThreadPoolExecutor() as pool:
        waiting = under_way(behind_proxy, by_session, pool)
        check_repeatedly(behind_proxy, 3)
        waiting.result(timeout=5)


def test_readiness_is_answered_while_the_server_hangs(behind_proxy: Flask, proxy: TcpProxy) -> None:
    with ThreadPoolExecutor() as pool:

        def readiness() -> tuple[int, str]:
            answer = pool.submit(behind_proxy.test_client().get, "/readyz").result(timeout=10)
            return answer.status_code, answer.get_json()["checks"]["database"]

        assert readiness() == (200, "ok")
        with proxy.hanging():
            assert [readiness() for _ in range(2)] == [(503, "The database has not answered for 2 seconds.")] * 2
        wait_until(lambda: readiness() == (200, "ok"))
