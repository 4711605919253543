"""`python -m tests.bench.fan_out`: how long a change takes to reach 100,000 SDKs behind relays, and what it costs.

Measured on this machine: one worker that sends a change to 1,900 streams, directly and through a relay. Simulated from
that: relays of relays, none of which has more streams than were measured. The measured relay is what the simulation is
held against.
"""

import random
import selectors
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from control_plane.platform.settings import Settings
from tests.applications import application
from tests.bench.load import Request
from tests.bench.results import Figure, record
from tests.installation import Installation
from tests.relaying import relaying
from tests.serving import serving

STREAMS, CHANGES = 1_900, 30
SDKS = 100_000
RELAYS = (60, 100, 200)
DRAWS = 400
QUIET_SECONDS = 5.0
UPDATED = b"event: unleash-updated"


@dataclass(frozen=True, slots=True)
class Push:
    """One change on its way to many streams: seconds until each had it, sorted, and the bytes that one of them read."""

    seconds: Sequence[float]
    bytes: int


class Streams:
    """Open event streams of one server, and when each of them was told."""

    def __init__(self, url: str, token: str, wanted: int) -> None:
        address = urlsplit(url)
        request = Request("GET", "/api/client/streaming", {"Authorization": token}).encoded(address.netloc)
        self._selector = selectors.DefaultSelector()
        self._open: list[socket.socket] = []
        for _ in range(wanted):
            connection = socket.create_connection((address.hostname or "", address.port or 0))
            connection.sendall(request)
            self._open.append(connection)
        for connection in self._open:
            head = connection.recv(65536)
            assert head[9:12] == b"200", head[:200]
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ)
        self._drain(1.0)

    def wait(self, since: float) -> Push:
        """Wait until every stream was told of a change that was made at `since`."""
        told: dict[int, float] = {}
        size = 0
        while len(told) < len(self._open):
            ready = self._selector.select(QUIET_SECONDS)
            assert ready, f"{len(self._open) - len(told)} streams were told of nothing."
            for key, _ in ready:
                received = self._read(key.fd)
                if UPDATED in received and key.fd not in told:
                    told[key.fd] = time.perf_counter() - since
                    size = len(received)
        return Push(sorted(told.values()), size)

    def close(self) -> None:
        """End them all."""
        for connection in self._open:
            connection.close()
        self._selector.close()

    def _drain(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        while time.monotonic() < over:
            for key, _ in self._selector.select(0.1):
                self._read(key.fd)

    def _read(self, number: int) -> bytes:
        received = socket.socket.recv(self._selector.get_key(number).fileobj, 65536)  # type: ignore[arg-type]
        assert received, "A stream ended."
        return received


@contextmanager
def streams(url: str, token: str, wanted: int) -> Iterator[Streams]:
    """Hold so many streams while the block lasts."""
    opened = Streams(url, token, wanted)
    try:
        yield opened
    finally:
        opened.close()


@dataclass(frozen=True, slots=True)
class Origin:
    """A served installation with one switch, which is turned again and again."""

    url: str
    token: str
    admin: str

    def pushes(self, url: str, wanted: int) -> list[Push]:
        """Turn the switch, and see when each of `wanted` streams of the server at `url` is told."""
        found = []
        with streams(url, self.token, wanted) as opened:
            for number in range(CHANGES):
                since = self.turn(on=number % 2 == 0)
                found.append(opened.wait(since))
        return found

    def turn(self, *, on: bool) -> float:
        """Turn the switch; returns when that was asked for."""
        path = f"{self.url}/api/flags/switched/environments/production"
        since = time.perf_counter()
        body = {"enabled": on, "reason": "A measurement."}
        requests.put(path, json=body, headers={"Authorization": self.admin}, timeout=10).raise_for_status()
        return since


@contextmanager
def served_origin(folder: Path) -> Iterator[Origin]:
    """Serve an installation in `folder`."""
    url = f"sqlite:///{folder / 'rollout.db'}"
    settings = Settings(database_url=url, instance_dir=folder, secret_key="-", background=False)
    with application(settings) as app:
        installation = Installation(app)
        token, admin = installation.token("client"), installation.token("admin")
        with serving(folder, DATABASE_URL=url) as served:
            body = {"name": "switched", "environments": {"production": False}}
            headers = {"Authorization": admin}
            requests.post(f"{served.url}/api/flags", json=body, headers=headers, timeout=10).raise_for_status()
            yield Origin(served.url, token, admin)


class PushMeasurement:
    """Pushes to one stream and to many, directly and through a relay.

    `hops` are the seconds that a relay adds on the way to one stream, each a difference of two in order of size;
    `spreads` are, for each push to many, the seconds after the first stream at which each was told.
    """

    def __init__(
        self, one: Sequence[Push], many: Sequence[Push], relayed_one: Sequence[Push], relayed_many: Sequence[Push]
    ) -> None:
        self.one, self.many, self.relayed_one, self.relayed_many = one, many, relayed_one, relayed_many
        direct, relayed = (sorted(each.seconds[0] for each in pushes) for pushes in (one, relayed_one))
        self.hops = [max(0.0, after - before) for before, after in zip(direct, relayed, strict=True)]
        self.spreads = [[each - push.seconds[0] for each in push.seconds] for push in many]


def measure() -> PushMeasurement:
    """Measure on this machine."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as place,
        served_origin(Path(folder)) as origin,
        relaying(Path(place), origin.url, origin.token) as relay,
    ):
        time.sleep(QUIET_SECONDS)
        return PushMeasurement(
            origin.pushes(origin.url, 1),
            origin.pushes(origin.url, STREAMS),
            origin.pushes(relay, 1),
            origin.pushes(relay, STREAMS),
        )


@dataclass(frozen=True, slots=True)
class RelayTree:
    """The origin's streams go to `tiers[0]` relays, theirs to `tiers[1]` each, and so on; the last tier's to SDKs."""

    tiers: tuple[int, ...]

    @property
    def ends(self) -> int:
        """The number of SDKs at its ends."""
        product = 1
        for each in self.tiers:
            product *= each
        return product

    def seconds(self, measured: PushMeasurement, chance: random.Random) -> float:
        """Draw how long a change takes to the last SDK: at each tier the slowest way of all goes on.

        A stream is told at a place in its server's order; of the servers of one tier each has a push of its own.
        """
        arrivals = [chance.choice(measured.one).seconds[0]]
        for tier, width in enumerate(self.tiers):
            is_last = tier == len(self.tiers) - 1
            told = []
            for arrival in arrivals:
                spread, hop = chance.choice(measured.spreads), chance.choice(measured.hops)
                # Of the last tier only its last stream can be the last of all.
                ways = spread[width - 1 : width] if is_last else spread[:width]
                told += [arrival + each + (0.0 if is_last else hop) for each in ways]
            arrivals = told
        return max(arrivals)


def tree(sdks: int, relays: int) -> RelayTree:
    """Return two tiers with `relays` relays in front of the SDKs."""
    return RelayTree((relays, sdks // relays))


def main() -> int:
    """Measure, simulate, print and record."""
    measured, chance = measure(), random.Random(1)
    figures = list(_measured(measured)) + list(_simulated(measured, chance))
    for figure in figures:
        sys.stdout.write(f"{figure.name:62} {figure.size or 0:>8,} {figure.median:>12,.1f} {figure.unit}\n")
    record("fan_out", figures)
    return 0


def _measured(measured: PushMeasurement) -> Iterator[Figure]:
    for name, size, pushes in (
        ("change to one stream, measured", 1, measured.one),
        ("change to the last stream of one worker, measured", STREAMS, measured.many),
        ("change through a relay to one stream, measured", 1, measured.relayed_one),
        ("change through a relay to its last stream, measured", STREAMS, measured.relayed_many),
    ):
        yield Figure(name, "ms", tuple(push.seconds[-1] * 1000 for push in pushes), size)
    yield Figure("bytes of a change on a stream, measured", "bytes", tuple(float(push.bytes) for push in measured.one))


def _simulated(measured: PushMeasurement, chance: random.Random) -> Iterator[Figure]:
    draws = range(DRAWS)
    checked = RelayTree((1, STREAMS))
    runs = tuple(checked.seconds(measured, chance) * 1000 for _ in draws)
    yield Figure("change through a relay to its last stream, simulated", "ms", runs, STREAMS)
    size = statistics.median(push.bytes for push in measured.one)
    for relays in RELAYS:
        shape = tree(SDKS, relays)
        runs = tuple(shape.seconds(measured, chance) * 1000 for _ in draws)
        where = f"{SDKS:,} SDKs behind {relays} relays, simulated"
        yield Figure(f"{where}: to the last", "ms", runs, SDKS)
        yield Figure(f"{where}: p99 to the last", "ms", (sorted(runs)[int(DRAWS * 0.99)],), SDKS)
        yield Figure(f"{where}: streams of the origin", "", (float(relays),), SDKS)
        yield Figure(f"{where}: bytes the origin sends", "bytes", (relays * size,), SDKS)
        yield Figure(f"{where}: messages in all", "", (float(relays + shape.ends),), SDKS)


if __name__ == "__main__":
    sys.exit(main())
