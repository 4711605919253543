"""The command: history, then a server of its own and live traffic until somebody has seen enough."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import click

from control_plane import rollouts
from control_plane.app import create_app
from control_plane.bootstrap import bootstrap
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform import start_checks
from control_plane.platform.db.database import db, transaction
from control_plane.platform.observability import signals
from control_plane.platform.runtime.cli_support import CommandFailed
from control_plane.platform.settings import Settings
from control_plane.server import check_port
from credits_engine.engines import legacy
from dashboards.simulation import fault_injection
from dashboards.simulation.auto_owner import try_advance
from dashboards.simulation.demonstration import history
from dashboards.simulation.demonstration.history import Usage
from dashboards.simulation.demonstration.orders import ORDERS, OrderBook
from dashboards.simulation.fault_injection import Fault, FaultInjectingEngine
from dashboards.simulation.simulator import Simulator

BETA = frozenset(f"u{number}" for number in range(1, 9))
SOAK = timedelta(seconds=15)
CHUNK_SECONDS = 0.25


@click.command("demo")
@click.option("--fault", "faults", multiple=True, metavar="KIND:RATE@WHEN", help="A fault in v2; repeatable.")
@click.option("--rate", default=40.0, show_default=True, help="Operations per second.")
@click.option("--seconds", default=0.0, help="Stop after this long. Default: at Ctrl-C.")
@click.option("--history/--no-history", "with_history", default=True, help="Begin 26 days ago. Default: --history.")
@click.option("--manual", is_flag=True, help="Leave every advance to you.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same traffic.")
def demo(*, faults: tuple[str, ...], rate: float, seconds: float, with_history: bool, manual: bool, seed: int) -> None:
    """Serve the pages on a fresh database with weeks of history while made-up users consume credits.

    Order faults from the pages, and watch it roll out or back.
    """
    now = datetime.now(UTC)
    try:
        ordered = [fault_injection.parse(text, [phase.name for phase in default_plan(now).phases]) for text in faults]
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="rollout-demo-") as folder:
        environment = {
            **os.environ,
            "INSTANCE_DIR": folder,
            "DATABASE_URL": f"sqlite:///{folder}/demo.db",
            "DATABASE_DIRECT_URL": "",
        }
        settings = Settings.from_env(environment)
        check_port(settings)
        app = create_app(replace(settings, background=False))
        start_checks.run(app)
        usage = Usage(seed=seed, now=now)
        with app.app_context():
            password = _prepare(usage, seed=seed, with_history=with_history)
            with _served(environment, settings):
                _greet(settings, password)
                until = time.monotonic() + seconds if seconds else float("inf")
                _perform(usage, ordered, OrderBook(Path(folder)), Pace(rate, until), manual=manual, seed=seed)
            # Before the folder goes, which holds the database's file.
            db.engine.dispose()


def _prepare(usage: Usage, *, seed: int, with_history: bool) -> str | None:
    """Make a rollout, its past, and an owner; returns the owner's password."""
    if with_history:
        click.echo("Playing 26 days of made-up usage through the rollout; that takes some 15 seconds.")
        history.perform(usage, beta=BETA, seed=seed)
        history.shorten(SOAK, datetime.now(UTC))
    else:
        history.begin_today(datetime.now(UTC), SOAK)
    with transaction() as session:
        return bootstrap(session, datetime.now(UTC)).owner_password


def _greet(settings: Settings, password: str | None) -> None:
    lines = [
        f"Page      http://{settings.host}:{settings.port}",
        f"Sign in   owner / {password}",
        "Faults    order one at the top of any page, and watch the rollout",
        "Stop      Ctrl-C; nothing of it stays",
    ]
    click.echo("\n".join(lines))


@contextmanager
def _served(environment: Mapping[str, str], settings: Settings) -> Iterator[None]:
    """Provide a server of its own on the demonstration's database; it has no fault in it, those are in our traffic."""
    command = [sys.executable, "-m", "dashboards.simulation.demonstration.server"]
    log = Path(environment["INSTANCE_DIR"]) / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603 - our own module
    try:
        while not _answers(settings):
            if server.poll() is not None:
                raise CommandFailed(f"The server of the demonstration ended:\n{log.read_text(errors='replace')}")
            time.sleep(CHUNK_SECONDS)
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)


def _answers(settings: Settings) -> bool:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as caller:
        return caller.connect_ex((settings.host, settings.port)) == 0


@dataclass(frozen=True, slots=True)
class Pace:
    """So many operations a second, until an instant of `time.monotonic`."""

    rate: float
    until: float


def _perform(
    usage: Usage,
    faults: list[Fault],
    book: OrderBook,
    pace: Pace,
    *,
    manual: bool,
    seed: int,
) -> None:
    v2 = FaultInjectingEngine(faults, seed=seed)
    old = FaultInjectingEngine([], seed=seed, engine=legacy.decide)
    stage = Simulator(v2, beta=BETA, legacy=old.decide)
    entered: list[str] = []
    started = time.monotonic()
    try:
        for number, row in zip(count(1), usage.present(), strict=False):
            _wait_for_turn(started + number / pace.rate)
            now = datetime.now(UTC)
            v2.proceed(number, entered)
            old.proceed(number, entered)
            stage.perform(row, now)
            if number % max(1, int(pace.rate * CHUNK_SECONDS)) == 0:
                entered = _advance_if_open(entered, now, manual=manual)
                order = ORDERS[book.read()]
                v2.order([*faults, *order.v2])
                old.order(order.legacy)
            if time.monotonic() >= pace.until:
                return
    except KeyboardInterrupt:
        return


def _advance_if_open(entered: list[str], now: datetime, *, manual: bool) -> list[str]:
    """Write the counts, advance if the gates are open, and say which phases have been entered."""
    signals.flush(now)
    with transaction() as session:
        if not manual:
            try_advance(session, now, history.OWNER)
        name = rollouts.find(session, FLAG).phase.name
    return entered if name in entered else [*entered, name]


def _wait_for_turn(at: float) -> None:
    pause = at - time.monotonic()
    if pause > 0:
        time.sleep(pause)
