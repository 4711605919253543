"""`python -m tests.bench.pages`: what pages take beside 500 flags, a journal of a million rows and 100,000 overrides.

Each page is asked for within this process: the milliseconds in which 95 of 100 answers are ready, and its queries.
Then a server is asked by a browser, until something is seen, and by a hundred open pages, until all have a change.
"""

import re
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import requests
from flask import Flask
from playwright.sync_api import sync_playwright
from sqlalchemy import text

from control_plane.checklists.guide import guide_plan
from control_plane.core.phases import new_rollout, positions
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import db, transaction
from control_plane.platform.settings import Settings
from control_plane.rollouts import store
from credits_engine.administration import usage_rollup
from tests import chromium, people, postgres
from tests.applications import application
from tests.bench.credit_dataset import Dataset, fill
from tests.installation import Installation
from tests.serving import Served, serving
from tests.statements import noted

STOCK = Dataset(users=100_000, rows=1_000_000)
FLAGS, OVERRIDES, OPEN_PAGES = 500, 100_000, 100
REQUESTS, WARM, LOADS = 100, 5, 10
SECONDS_MAX = 15
"""How long one page is asked for, where it is so slow that fewer requests have to do."""
WANTED_MS, WANTED_QUERIES, WANTED_PAINT_MS, WANTED_LIVE_MS = 60.0, 12, 500.0, 1_000.0
USER = "user-90001"
PAGES = {
    "rollouts": "/",
    "rollout": f"/rollouts/{FLAG}",
    "plan": f"/rollouts/{FLAG}/plan",
    "checklists": f"/rollouts/{FLAG}/checklists",
    "roll back": "/roll-back",
    "flags": "/flags",
    "explain": f"/explain?user={USER}",
    "users": "/users",
    "alerts": "/alerts",
    "alert": "/alerts/credit_variance",
    "credits": f"/credits?user={USER}",
    "variances": "/credits/variances",
    "operation": "/credits/operations/1000",
    "usage": "/usage",
    "billing": "/billing",
    "connections": "/connections",
    "audit": "/audit",
    "people": "/people",
    "system": "/system",
}
LET_IN = """
INSERT INTO flag_override (flag, user_id, effect, reason, actor, created_at)
    SELECT :flag, 'user-' || n, 'allow', 'Asked for.', 'olga', :now FROM generate_series(1, :rows) n
"""


def main() -> int:
    """Print every figure; 0 when all were reached, else 1."""
    found = []
    with ExitStack() as stack:
        url = stack.enter_context(_filled())
        found += [*_of_pages(url)]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = stack.enter_context(serving(folder, DATABASE_URL=url))
        found += [_until_painted(served), _until_live(served)]
    return 0 if all(found) else 1


@contextmanager
def _filled() -> Iterator[str]:
    with postgres.running() as server, postgres.database(server) as url:
        with _application(url) as app:
            people.invite(app, datetime.now(UTC))
            fill(Installation(app), STOCK)
            _add_rollouts(app)
            _add_up(app)
        yield url


@contextmanager
def _application(url: str) -> Iterator[Flask]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=url, instance_dir=Path(folder), secret_key="-", background=False)
        with application(settings) as app:
            yield app


def _add_rollouts(app: Flask) -> None:
    now, plan = datetime.now(UTC), guide_plan(datetime(2026, 1, 1, tzinfo=UTC))
    steps = positions(plan)
    with app.app_context():
        with transaction() as session:
            for number in range(FLAGS - 1):
                made = new_rollout(f"F{number:03}", replace(plan, owner=f"team-{number}"), now=now, reason="Planned.")
                store.add(session, replace(made, position=steps[number % len(steps)]))
            session.execute(text(LET_IN), {"flag": FLAG, "now": now, "rows": OVERRIDES})
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))


def _add_up(app: Flask) -> None:
    """Do what the leader of a server has done by then: usage is added up to days."""
    with app.app_context():
        before = -1
        while (reached := usage_rollup.roll_up_usage()) != before:
            before = reached


def _of_pages(url: str) -> Iterator[bool]:
    with _application(url) as app:
        alice = people.signed_in(app, "alice")
        for name, address in PAGES.items():
            taken: list[float] = []
            computed: list[float] = []
            give_up = time.monotonic() + SECONDS_MAX
            while len(taken) < WARM + REQUESTS and (len(taken) < 2 * WARM or time.monotonic() < give_up):
                began, used = time.perf_counter(), time.process_time()
                assert alice.get(address).status_code == 200, address
                taken.append((time.perf_counter() - began) * 1000)
                computed.append((time.process_time() - used) * 1000)
            with app.app_context(), noted() as sent:
                alice.get(address)
            p95, cpu = (statistics.quantiles(each[WARM:], n=20)[-1] for each in (taken, computed))
            yield _said(
                f"{name:12} p95 {p95:6.1f} ms, of CPU {cpu:6.1f} ms, {len(sent):2} queries",
                reached=p95 <= WANTED_MS and len(sent) <= WANTED_QUERIES,
            )


def _until_painted(served: Served) -> bool:
    """Load the rollout's page in fresh profiles until something is on the screen."""
    cookies = [
        {"name": each.name, "value": each.value, "url": served.url} for each in _signed_in(served).cookies if each.value
    ]
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.executable(), args=list(chromium.ARGUMENTS))
        for _ in range(LOADS):
            with browser.new_context(base_url=served.url) as context:
                context.add_cookies(cookies)  # type: ignore[arg-type]
                page = context.new_page()
                page.goto(f"/rollouts/{FLAG}")
                page.wait_for_timeout(500)
                (painted,) = page.evaluate(
                    "performance.getEntriesByName('first-contentful-paint').map((each) => each.startTime)"
                )
                found.append(painted)
        browser.close()
    middle = statistics.median(found)
    return _said(f"first paint  median {middle:.0f} ms, highest {max(found):.0f} ms", reached=middle <= WANTED_PAINT_MS)


def _until_live(served: Served) -> bool:
    """Hold a rollout that a hundred pages look at, until each has been told."""
    visitor = _signed_in(served)
    with ExitStack() as stack:
        streams = [stack.enter_context(_stream(served, visitor.cookies)) for _ in range(OPEN_PAGES)]
        _read_until(streams, b"event:")
        began = time.monotonic()
        sent = visitor.post(
            f"{served.url}/rollouts/F001/hold",
            data={"reason": "Seen-by-all"},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert sent.status_code == 200
        written = time.monotonic()
        last = _read_until(streams, b"Seen-by-all")
    figures = f"{(last - written) * 1000:.0f} ms after the answer, {(last - began) * 1000:.0f} ms after the click"
    return _said(f"{OPEN_PAGES} open pages  {figures}", reached=(last - began) * 1000 <= WANTED_LIVE_MS)


@contextmanager
def _stream(served: Served, cookies: Mapping[str, str]) -> Iterator[socket.socket]:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as opened:
        pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
        lines = ["GET /live/rollouts/F001 HTTP/1.1", f"Host: {host}:{port}", f"Cookie: {pairs}", "", ""]
        opened.sendall("\r\n".join(lines).encode())
        yield opened


def _read_until(streams: list[socket.socket], wanted: bytes) -> float:
    """Read each stream until it has `wanted`; return when the last one had it."""
    with selectors.DefaultSelector() as selector:
        for each in streams:
            selector.register(each, selectors.EVENT_READ, bytearray())
        while selector.get_map():
            for key, _ in selector.select(timeout=30):
                came = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                assert came, bytes(key.data)
                key.data.extend(came)
                if wanted in key.data:
                    selector.unregister(key.fileobj)
    return time.monotonic()


def _signed_in(served: Served) -> requests.Session:
    visitor = requests.Session()
    form = {"username": "alice", "password": people.PASSWORD}
    answer = visitor.post(f"{served.url}/sign-in", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert re.search("<h1", answer.text)
    return visitor


def _said(figures: str, *, reached: bool) -> bool:
    sys.stdout.write(f"{figures}{'' if reached else '  MISSED'}\n")
    sys.stdout.flush()
    return reached


if __name__ == "__main__":
    sys.exit(main())
