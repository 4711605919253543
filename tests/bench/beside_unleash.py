"""The same requests to a real unleash-server and to ours, one worker each, in one run, and what comes of each.

Run `python -m tests.bench.beside_unleash`. Where npm or PostgreSQL are missing it says so and measures nothing. Both
are loaded by the same program over 16 connections, in turn, never both at once; the ratios are what counts.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from flags.administration.imports import ImportOptions, import_definitions
from tests import unleash
from tests.applications import application
from tests.bench.flags import FLAGS, SECONDS, SPEC, USERS, Goal, feature, toggles
from tests.bench.load import Request, load
from tests.installation import Installation
from tests.serving import serving

ROUNDS = 3
BYTES_MORE = 1.2


@dataclass(frozen=True, slots=True)
class FlagServer:
    """A server with 350 flags, and tokens of an SDK and of a browser."""

    url: str
    sdk: str
    browser: str

    def features(self, **headers: str) -> Request:
        """Return the request of an SDK for all flags."""
        return Request("GET", "/api/client/features", {"Authorization": self.sdk, **SPEC, **headers})

    def again(self) -> Request:
        """Return the request of an SDK that holds them all already."""
        return self.features(**{"If-None-Match": self.answer(self.features()).headers["ETag"]})

    def frontend(self) -> list[Request]:
        """Return the requests of a thousand browsers."""
        return [toggles(self.browser, user) for user in USERS]

    def size(self, encoding: str) -> int:
        """Return the number of bytes that an SDK is sent."""
        return len(self.answer(self.features(**{"Accept-Encoding": encoding})).raw.read(decode_content=False))

    def answer(self, request: Request) -> requests.Response:
        """Return the answer to one request."""
        answer = requests.get(self.url + request.path, headers=request.headers, timeout=30, stream=True)
        answer.raise_for_status()
        return answer


def main() -> int:
    """Print every ratio; 0 when all were reached, else 1."""
    met = True
    try:
        with tempfile.TemporaryDirectory() as folder, _both(Path(folder)) as (theirs, ours):
            for goal in measure(theirs, ours):
                sys.stdout.write(f"{'ok  ' if goal.met else 'MISS'} {goal.name:58} {goal.wanted:>12} {goal.seen:>40}\n")
                sys.stdout.flush()
                met = met and goal.met
    except unleash.UnleashUnavailable as unavailable:
        sys.stdout.write(f"---- unleash-server can't be had here, so nothing is compared: {unavailable}\n")
    return 0 if met else 1


def measure(theirs: FlagServer, ours: FlagServer) -> Iterator[Goal]:
    """Ask both the same, three times over."""
    asked: dict[str, tuple[float, Callable[[FlagServer], Sequence[Request]]]] = {
        f"features, {FLAGS} flags, 200": (7, lambda side: [side.features()]),
        f"features, {FLAGS} flags, 304": (3, lambda side: [side.again()]),
        f"frontend API, {FLAGS} imported flags": (2, FlagServer.frontend),
    }
    for number in range(1, ROUNDS + 1):
        for name, (wanted, make) in asked.items():
            rates = [_rate(side, make(side)) for side in (theirs, ours)]
            ratio = rates[1] / rates[0]
            seen = f"{rates[0]:,.0f}/s there, {rates[1]:,.0f}/s here, {ratio:.1f}x"
            yield Goal(f"{name}, run {number}", f">= {wanted:.0f}x", seen, ratio >= wanted)
    for encoding in ("gzip", "br", "identity"):
        sizes = [side.size(encoding) for side in (theirs, ours)]
        seen = f"{sizes[0]:,} there, {sizes[1]:,} here"
        yield Goal(f"bytes of {FLAGS} flags, {encoding}", "<= 1.2x", seen, sizes[1] <= sizes[0] * BYTES_MORE)


def _rate(side: FlagServer, asked: Sequence[Request]) -> float:
    load(side.url, asked, seconds=SECONDS / 2)  # both are compiled as they run, or open their connections
    seen = load(side.url, asked, seconds=SECONDS)
    if not seen.statuses <= {200, 304}:
        raise RuntimeError(f"{side.url} answered {sorted(seen.statuses)}")
    return seen.per_second


@contextmanager
def _both(folder: Path) -> Iterator[tuple[FlagServer, FlagServer]]:
    with unleash.running(folder) as server:
        server.enter([feature(number) for number in range(FLAGS)], [])
        theirs = FlagServer(server.url, server.client, server.frontend)
        found = server.features()
        settings = Settings(
            database_url=f"sqlite:///{folder / 'rollout.db'}", instance_dir=folder, secret_key="-", background=False
        )
        with application(settings) as app:
            installation = Installation(app)
            with app.app_context(), transaction() as session:
                context = ChangeContext(datetime.now(UTC), "bench", "-")
                import_definitions(session, "production", found, context, ImportOptions(replace=True))
            with serving(folder) as served:
                yield theirs, FlagServer(served.url, installation.token("client"), installation.token("frontend"))


if __name__ == "__main__":
    sys.exit(main())
