"""The credits API on the real server with one worker: many users, and one whom everybody wants."""

import time
from collections.abc import Iterator
from random import Random
from typing import Any

import jwt
import psycopg
from psycopg import sql

from tests.bench import processor
from tests.bench.credit_dataset import Dataset
from tests.bench.credit_goals import SECRET, Goal, served_on
from tests.bench.load import Load, Request, load

HTTP_SECONDS = 5.0
QUIET_SHARE, QUIET_SECONDS, QUIET_SECONDS_MAX = 0.2, 3.0, 300.0
FEW, MANY = 16, 64
JSON = {"Content-Type": "application/json"}


def over_http(name: str, url: str, dataset: Dataset, wanted: float) -> Iterator[Goal]:
    """Measure how much one worker answers; the goal is `wanted` consumptions a second."""
    with served_on(url) as (served, token):
        yield Goal(f"{name}, HTTP: from its start until the machine is quiet", f"{_until_quiet():.0f} s")
        for connections in (FEW, MANY):
            asked = _consumptions(token, dataset.active, 20_000)
            consuming = load(served.url, asked, seconds=HTTP_SECONDS, connections=connections)
            yield _rate(f"{name}, HTTP, one worker, {connections} connections: consumptions", wanted, consuming)
        for per_second, wanted_ms in ((300, 50), (800, 60)):
            asked = _consumptions(token, dataset.active, int(per_second * HTTP_SECONDS) * 2)
            paced = load(served.url, asked, seconds=HTTP_SECONDS, per_second=per_second)
            yield _p99(f"{name}, HTTP: consumptions, p99 at {per_second}/s", wanted_ms, paced)
        asked = [_status(f"user-{number}") for number in dataset.active[:1000]]
        status = load(served.url, asked, seconds=HTTP_SECONDS, per_second=500)
        yield _p99(f"{name}, HTTP: status, p99 at 500/s", 20, status)
        if dataset.rows:
            asked = [_status(f"user-{number}", "history") for number in dataset.active[:1000]]
            history = load(served.url, asked, seconds=HTTP_SECONDS, per_second=100)
            yield Goal(f"{name}, HTTP: history, p99 at 100/s", f"{history.percentile(0.99):.1f} ms")


def _until_quiet() -> float:
    """Return the seconds until a new worker has read a large directory and added up what was used."""
    begun = time.perf_counter()
    while processor.busy_share(QUIET_SECONDS) > QUIET_SHARE and time.perf_counter() - begun < QUIET_SECONDS_MAX:
        pass
    return time.perf_counter() - begun


def hot_account(url: str) -> Iterator[Goal]:
    """Fifty clients, one user: every row of the journal is in both books, whatever they did to each other."""
    with served_on(url) as (served, token), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE directory_user SET plan = 'custom' WHERE user_id = 'user-0'")
        before = _charged(connection)
        hot = load(served.url, _consumptions(token, range(1), 20_000), connections=50, seconds=HTTP_SECONDS)
        moved = [after - then for after, then in zip(_charged(connection), before, strict=True)]
    lost = max(moved) - min(moved) + max(len(hot.seconds) - moved[0], 0) * (hot.statuses == {200})
    yield _rate("PostgreSQL, HTTP: 50 clients on one account", 500, hot)
    yield Goal("… updates lost", f"{lost}", "0", lost == 0)


def _charged(connection: psycopg.Connection[tuple[Any, ...]]) -> list[int]:
    """Return the credits of the hot account by the journal and by each book."""
    books = ("usage_counters", "legacy_book")
    places = ("v2_posted", "credit_journal"), *(("used", book) for book in books)
    query = "SELECT coalesce(sum({}[1]), 0) FROM {} WHERE user_id = 'user-0'"
    rows = [connection.execute(sql.SQL(query).format(*map(sql.Identifier, place))).fetchone() for place in places]
    return [int(row[0]) for row in rows if row]


def _consumptions(token: str, users: range, number: int) -> list[Request]:
    """Return `number` requests to consume, each under a key of its own."""
    headers, unique = {"Authorization": f"Bearer {token}", **JSON}, time.time_ns()
    body = '{"userId": "user-%d", "creditType": "analysis", "amount": 1, "idempotencyKey": "%s-%d"}'
    random = Random(number)
    return [
        Request("POST", "/api/credits/consume", headers, (body % (random.choice(users), unique, each)).encode())
        for each in range(number)
    ]


def _status(user: str, what: str = "status") -> Request:
    token = jwt.encode({"sub": user, "exp": 2**40}, SECRET, "HS256")
    return Request("GET", f"/api/user/credits/{what}", {"Authorization": f"Bearer {token}"})


def _rate(name: str, wanted: float, seen: Load) -> Goal:
    met = seen.per_second >= wanted and seen.statuses == {200}
    refused = "" if seen.statuses == {200} else f" {sorted(seen.statuses)}"
    return Goal(name, f"{seen.per_second:,.0f}/s{refused}", f">= {wanted:,.0f}/s", met)


def _p99(name: str, wanted_ms: float, seen: Load) -> Goal:
    p99 = seen.percentile(0.99)
    return Goal(name, f"{p99:.1f} ms", f"< {wanted_ms:g} ms", p99 < wanted_ms and seen.statuses == {200})
