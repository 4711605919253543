"""End the statements that wait for a database server which hangs while its machine runs.

Such a server, as a pooler that was stopped, has its packets acknowledged by the kernel, so that neither TCP nor libpq
ever gives up. Whoever waits for it would wait until somebody ends it: requests, the guard, the heartbeat.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

import psycopg
import structlog
from flask import Flask
from psycopg import errors
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from control_plane.platform.db import direct, timeouts
from control_plane.platform.db.database import db
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import current

CHECK_SECONDS = 1.0
LOGIN_SECONDS = 5
"""A server that lets nobody in for so long hangs. One that refuses, or is slow with a statement, answers."""

Driver = psycopg.Connection[object]
Address = tuple[str, int]

log = structlog.get_logger()


class ResponsivenessCheck:
    """Asks a server for a login where statements wait for it, and closes their connections where it gives no answer."""

    def __init__(self, engine: Engine) -> None:
        self._addresses: dict[Driver, Address] = {}
        self._waiting: set[Driver] = set()
        event.listen(engine, "connect", self._add)

    def check(self) -> None:
        """Look once. A statement that two looks found under way is worth a login, which a healthy server answers."""
        waiting = {each for each in self._open() if _is_waiting(each)}
        twice, self._waiting = waiting & self._waiting, waiting
        for address in {self._addresses[each] for each in twice}:
            if not answers(address):
                ended = [each for each in twice if self._addresses[each] == address and _shut_down(each)]
                log.error("database.unresponsive", host=address[0], port=address[1], statements_ended=len(ended))

    def _open(self) -> Iterator[Driver]:
        for each in list(self._addresses):  # copied at once, since connections are made meanwhile
            if each.closed:
                del self._addresses[each]
            else:
                yield each

    def _add(self, connection: Driver, _entry: ConnectionPoolEntry) -> None:
        self._addresses[connection] = connection.info.host, connection.info.port


CHECK = AppState[ResponsivenessCheck]("responsiveness_check")


def answers(address: Address) -> bool:
    """Return whether the server at this address answers a login, be it with a refusal."""
    url = make_url(current().database_url)
    host, port = address
    arguments = {**direct.libpq_arguments(url), **timeouts.libpq(url), "host": host, "port": port}
    # A standby answers as well: what is asked is whether anything does.
    arguments |= {"connect_timeout": LOGIN_SECONDS, "target_session_attrs": "any"}
    try:
        psycopg.connect(**arguments).close()
    except errors.ConnectionTimeout:
        return False
    except psycopg.Error:
        return True
    return True


def init_app(app: Flask) -> None:
    """Let every process look at its own connections to PostgreSQL."""
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            return
        CHECK.set(app, ResponsivenessCheck(db.engine))
    jobs.jobs_of(app).run_on_all(CHECK_SECONDS, "responsiveness", _check)


def _check(_now: datetime) -> None:
    CHECK.get().check()


def _is_waiting(connection: Driver) -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.ACTIVE


def _shut_down(connection: Driver) -> bool:
    """Let whoever waits on this connection find it closed by the server; return whether anybody still did."""
    try:
        number = connection.pgconn.socket
        end = socket.socket(fileno=os.dup(number))
    except (psycopg.Error, OSError):
        return False
    with end:
        # The statement may have ended just now, and the number be another file's. Were it so before it was
        # duplicated, the connection, which never opens a second one, would have none any more.
        if connection.closed or not _is_waiting(connection):
            return False
        with suppress(OSError):  # it was closed from the other side just now
            end.shutdown(socket.SHUT_RDWR)
    return True
