"""Run a load test over HTTP, on accounts of its own, and record what it came to in the audit trail."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import ChangeContext
from control_plane.core.phases import exposure
from control_plane.experiments.credits import FLAG
from control_plane.platform import clock, settings
from control_plane.platform.auth import audit, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import TokenType
from control_plane.rollouts import store as rollout_store
from credits_engine.load_test.report import ANSWERED, Answer, Report, report
from credits_engine.operations.load_test_accounts import PREFIX
from flags.administration.users import UserChange, import_users

ACCOUNTS = 100
PLAN = "custom"
READ_EVERY = 10
"""One request in ten reads a user's status; the others consume."""
THREADS_MAX = 64
TIMEOUT_SECONDS = 10.0
SUBJECT, ACTION = "credits:load-test", "credits.load_test"
GRACE = timedelta(minutes=5)
LOOK_SECONDS = 1.0
STOPPED = "It was stopped, because v2 began to serve users in production meanwhile."


class LoadTestRefused(RuntimeError):  # noqa: N818 - named after what the caller gets
    """No load test may run now; the message says why."""


def run(url: str, *, per_second: int, seconds: int, actor: str) -> Report:
    """Send `per_second` requests for `seconds` to `url`, and record the result.

    Raises LoadTestRefused where v2 serves anybody in production, or nothing answers at `url`.
    """
    now = clock.now()
    _refuse_address(url)
    with read_only() as session:
        _refuse_exposed(session)
    with _token(actor, seconds) as text:
        caller = _Caller(url, text)
        _check_reached(url, caller.send(READ_EVERY - 1, time.monotonic()).status)
        with transaction() as session:
            users = [UserChange(f"{PREFIX}{number:03}", {"plan": PLAN}) for number in range(ACCOUNTS)]
            import_users(session, users, actor=actor, now=now)
        _check_address(url, caller.send(READ_EVERY - 1, time.monotonic()).status)
        started = time.monotonic()
        answers, is_exposed = _send_all(caller, per_second, seconds, started)
        found = report(answers, asked_per_second=per_second, seconds=time.monotonic() - started)
        if is_exposed:
            found = replace(found, shortfalls=(STOPPED, *found.shortfalls))
    with transaction() as session:
        after = {**asdict(found), "passed": found.passed, "seconds": seconds}
        change = ChangeContext(clock.now(), actor, "A load test.")
        audit.record(session, change, action=ACTION, subject=SUBJECT, after=after)
    return found


def _refuse_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise LoadTestRefused(f"{url[:200]!r} is no address; write one like http://127.0.0.1:8000.")


def _check_reached(url: str, status: int) -> None:
    """Check that something answers, before any account is made for the test."""
    if status == 0:
        raise LoadTestRefused(f"Nothing answers at {url}; start the server, or name its address with --url.")


def _check_address(url: str, status: int) -> None:
    """Check that the first request was answered; otherwise the checklist would have a failure of no meaning."""
    if status not in ANSWERED:
        sentence = f"{url} answers {status} to a request of the load test"
        raise LoadTestRefused(f"{sentence}; name the address of this installation with --url.")


def _is_exposed(session: Session) -> bool:
    rollout = rollout_store.load(session, FLAG)
    return rollout is not None and not exposure(rollout, PRODUCTION).empty


def _refuse_exposed(session: Session) -> None:
    if _is_exposed(session):
        raise LoadTestRefused("v2 serves users in production already; a load test is for the time before that.")


@contextmanager
def _token(actor: str, seconds: int) -> Iterator[str]:
    """Provide a token for the time of the test; one that is killed leaves a token that ends by itself."""
    name, now = f"load test {uuid4().hex[:8]}", clock.now()
    with transaction() as session:
        text = tokens.create_token(
            session,
            tokens.NewToken(
                name,
                TokenType.SERVICE,
                environment=settings.current().environment,
                expires_at=now + timedelta(seconds=seconds) + GRACE,
            ),
            now=now,
            actor=actor,
        )
    try:
        yield text
    finally:
        with transaction() as session:
            token = next(each for each in tokens.list_tokens(session) if each.name == name)
            tokens.revoke_token(session, token.id, now=clock.now(), actor=actor)


def _send_all(caller: "_Caller", per_second: int, seconds: int, started: float) -> tuple[list[Answer], bool]:
    """Send each request when it is due, until v2 begins to serve somebody; returns whether it did.

    A request that waits for a thread counts from when it was due, as its caller would count it.
    """
    numbers, interrupted = count(), threading.Event()

    def work(_: int) -> list[Answer]:
        answers = []
        while (number := next(numbers)) < per_second * seconds:
            due = started + number / per_second
            if interrupted.wait(max(0.0, due - time.monotonic())):
                break
            answers.append(caller.send(number, due))
        return answers

    threads = min(THREADS_MAX, per_second)
    with ThreadPoolExecutor(threads) as pool:
        try:
            sending = [pool.submit(work, each) for each in range(threads)]
            is_exposed = False
            while not is_exposed and wait(sending, timeout=LOOK_SECONDS).not_done:
                with read_only() as session:
                    is_exposed = _is_exposed(session)
        finally:
            interrupted.set()  # the pool waits for its threads, and they would send on until the end
        return [answer for each in sending for answer in each.result()], is_exposed


class _Caller:
    """One connection per thread to the installation under test."""

    def __init__(self, url: str, token: str) -> None:
        self._parts = urlsplit(url)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._local = threading.local()
        self._run = uuid4().hex

    def send(self, number: int, due: float) -> Answer:
        """Send one request; the time of the answer counts from when it was `due`."""
        user, reads = f"{PREFIX}{number % ACCOUNTS:03}", number % READ_EVERY == READ_EVERY - 1
        body = {"userId": user, "analysis": 1, "idempotencyKey": f"{self._run}-{number}"}
        target = ("GET", f"/api/user/credits/status?userId={user}", None)
        status = self._request(*target if reads else ("POST", "/api/credits/consume", json.dumps(body)))
        return Answer(status, (time.monotonic() - due) * 1000, reads)

    def _request(self, method: str, path: str, body: str | None) -> int:
        connection = self._connection()
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            connection.close()
            return 0
        return response.status

    def _connection(self) -> HTTPConnection:
        if not hasattr(self._local, "connection"):
            kind = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
            self._local.connection = kind(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_SECONDS)
        connection: HTTPConnection = self._local.connection
        return connection
