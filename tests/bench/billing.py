"""How many deliveries per second one serving process stores, and how many events per second one worker applies.

Run `python -m tests.bench.billing`. The server is the real one, on both databases, with its own worker applying what
comes in at the same time; the load comes from another process over keep-alive connections.
"""

import http.client
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import stripe

from control_plane.app import create_app
from control_plane.platform.db.database import db, transaction
from control_plane.platform.settings import Settings
from credits_engine.billing.inbox import webhook
from credits_engine.billing.inbox.worker import Worker
from credits_engine.billing.store import inbox
from tests import postgres
from tests.credits_engine.billing.stories import random_life
from tests.credits_engine.billing.stripe_objects import Json
from tests.serving import serving

SECRET = "whsec_of_the_benchmark"
DELIVERIES = 10_000
CONNECTIONS = 16
CUSTOMERS = 500
ROUNDS = 1


def main() -> None:
    """Print a table of what was seen."""
    events = _events(DELIVERIES)
    _say(f"{'database':12} {'what':34} {'per second':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for name, database in (("sqlite", _sqlite), ("postgresql", _postgresql)):
        for _ in range(ROUNDS):
            with database() as url:
                rate, latencies = _intake(url, events)
                p50, p99 = (latencies[int(len(latencies) * share)] for share in (0.50, 0.99))
                _say(f"{name:12} {'stored over HTTP, 1 process':34} {rate:10.0f} {p50:8.1f} {p99:8.1f}")
            with database() as url:
                _say(f"{name:12} {'applied, 1 worker':34} {_apply(url, events):10.0f}")


def _events(count: int) -> list[Json]:
    found: list[Json] = []
    for number in range(CUSTOMERS):
        found += random_life(number, user=f"user{number}", days=400).events
    assert len(found) >= count, len(found)
    return sorted(found[:count], key=lambda event: event["created"])


def _intake(url: str, events: list[Json]) -> tuple[float, list[float]]:
    """Deliveries per second and the latency of each in milliseconds, ascending."""
    with tempfile.TemporaryDirectory() as place:
        settings = {"DATABASE_URL": url, "STRIPE_WEBHOOK_SECRETS": SECRET, "LOG_FORMAT": "json"}
        with serving(Path(place), **settings) as served:
            bodies = [json.dumps(event).encode() for event in events]
            results: multiprocessing.Queue[tuple[float, list[float]]] = multiprocessing.Queue()
            sender = multiprocessing.Process(target=_send, args=(served.url, bodies, results))
            sender.start()
            seconds, latencies = results.get()
            sender.join()
    return len(events) / seconds, sorted(latencies)


def _send(url: str, bodies: list[bytes], results: "multiprocessing.Queue[tuple[float, list[float]]]") -> None:
    address = urlsplit(url)
    now = int(time.time())
    sign = stripe.WebhookSignature.generate_signature_header
    signed = [(body, sign(body.decode(), SECRET, now)) for body in bodies]
    latencies: list[float] = []
    shares = [signed[number::CONNECTIONS] for number in range(CONNECTIONS)]

    def run(share: list[tuple[bytes, str]]) -> None:
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        for body, signature in share:
            started = time.perf_counter()
            connection.request("POST", "/webhooks/stripe", body, {"Stripe-Signature": signature})
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            latencies.append((time.perf_counter() - started) * 1000)

    threads = [threading.Thread(target=run, args=(share,)) for share in shares]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((time.perf_counter() - started, latencies))


def _apply(url: str, events: list[Json]) -> float:
    """Events per second that one worker applies from a full inbox, each at most a minute after it was made."""
    with tempfile.TemporaryDirectory() as place:
        settings = Settings(database_url=url, instance_dir=Path(place), secret_key="-", log_format="json")
        app = create_app(settings)
        clock = datetime.fromtimestamp(events[-1]["created"], UTC) + timedelta(minutes=1)
        with app.app_context():
            with transaction() as session:
                inbox.add_delivery(session, [webhook.parse(json.dumps(event).encode(), clock) for event in events])
            with (Path(place) / "log").open("w") as log, redirect_stderr(log):
                started = time.perf_counter()
                done = Worker("bench", lambda: clock).work()
                seconds = time.perf_counter() - started
            db.engine.dispose()
    assert done >= len(events)
    return done / seconds


@contextmanager
def _sqlite() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as place:
        yield f"sqlite:///{place}/rollout.db"


@contextmanager
def _postgresql() -> Iterator[str]:
    with postgres.running() as server, postgres.database(server) as url:
        yield url


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
