"""The decorators for a service in another process: `backend = CreditsClient(url, token, user=…)`.

One policy when the credits can't be asked within the limit: the request is refused with 503 and may be repeated with
its key. What was held without our learning of it expires by itself. Work that is done is never undone: a commit that
doesn't get through is tried again in the background until the reservation would have expired.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from flask import json

from control_plane.platform.http.no_redirects import NOT_FOLLOWED, is_redirect
from control_plane.platform.problems import Problem
from credits_engine.engines.amounts import Amounts
from credits_engine.middleware import CreditsGuard
from credits_engine.store.reservations import ReservationState

LIMIT_SECONDS = 0.05
AGAIN_SECONDS = 1.0
RESERVED_SECONDS = 900
STANDARD = ("type", "title", "status", "detail", "code", "request_id")


class CreditsClient(CreditsGuard):
    """A counter over HTTP. `limit_seconds` bounds each wait for the credits: to connect, and for the answer."""

    def __init__(self, url: str, token: str, *, user: Callable[[], str], limit_seconds: float = LIMIT_SECONDS) -> None:
        self._remote = RemoteBackend(url, token, limit_seconds)
        super().__init__(self._remote, user)


class RemoteBackend:
    """Reserve, commit and release over one connection per thread."""

    def __init__(self, url: str, token: str, limit_seconds: float) -> None:
        parts = urlsplit(url)
        assert parts.hostname, f"{url!r} names no host"
        self._scheme, self._host, self._port = parts.scheme, parts.hostname, parts.port
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._limit_seconds = limit_seconds
        self._local = threading.local()
        self._reserved: queue.SimpleQueue[tuple[float, Mapping[str, object]]] = queue.SimpleQueue()
        self._finalizer: threading.Thread | None = None

    def reserve(self, user_id: str, key: str, amounts: Amounts) -> ReservationState:
        """Hold credits. Raises Problem as the credits answered it, or 503 when they did not in time."""
        body = {"userId": user_id, "idempotencyKey": key, **amounts.by_name()}
        return ReservationState(self._call("reserve", body, self._limit_seconds)["state"])

    def commit(self, user_id: str, key: str) -> None:
        """Keep everything; in the background where it can't be done at once."""
        body = {"userId": user_id, "idempotencyKey": key}
        try:
            self._call("commit", body, self._limit_seconds)
        except Problem as problem:
            if problem.status < 500:
                raise
            self._later(body)

    def release(self, user_id: str, key: str, reason: str) -> None:
        """Give everything back."""
        body = {"userId": user_id, "idempotencyKey": key, "reason": reason[:300]}
        self._call("release", body, self._limit_seconds)

    def _call(self, action: str, body: Mapping[str, object], limit_seconds: float) -> dict[str, Any]:
        connection = self._connection(limit_seconds)
        try:
            connection.request("POST", f"/api/credits/{action}", json.dumps(body), self._headers)
            response = connection.getresponse()
            if is_redirect(response.status):
                response.read()
                raise Problem(502, "CREDITS_ELSEWHERE", f"The address of the credits {NOT_FOLLOWED}.")
            answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            connection.close()
            message = f"The credits did not answer in {limit_seconds * 1000:.0f} ms; repeat the request with its key."
            raise Problem(503, "CREDITS_UNREACHABLE", message, headers={"Retry-After": "1"}) from error
        if response.status == 200:
            found: dict[str, object] = answer
            return found
        members = {name: value for name, value in answer.items() if name not in STANDARD}
        raise Problem(response.status, answer.get("code", "CREDITS_REFUSED"), answer.get("detail", ""), **members)

    def _connection(self, limit_seconds: float) -> HTTPConnection:
        connection: HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = HTTPSConnection if self._scheme == "https" else HTTPConnection
            connection = self._local.connection = kind(self._host, self._port, timeout=limit_seconds)
        return connection

    def _later(self, body: Mapping[str, object]) -> None:
        self._reserved.put((time.monotonic() + RESERVED_SECONDS, body))
        if self._finalizer is None or not self._finalizer.is_alive():
            self._finalizer = threading.Thread(target=self._finalize, name="credits-finalizer", daemon=True)
            self._finalizer.start()

    def _finalize(self) -> None:
        while True:
            expires, body = self._reserved.get()
            while time.monotonic() < expires:
                try:
                    self._call("commit", body, self._limit_seconds)
                    break
                except Problem as problem:
                    if problem.status < 500:
                        break
                    time.sleep(AGAIN_SECONDS)
