"""`rollout demo`: the served page on made-up live traffic, with short soak times and faults to order."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import click

from control_plane import rollouts
from control_plane.app import create_app
from control_plane.change_context import ChangeContext
from control_plane.core.phases import FLAG, Plan, default_plan
from control_plane.platform import start_checks
from control_plane.platform.db.database import db, transaction
from control_plane.platform.observability import signals
from control_plane.platform.runtime.cli_support import CommandFailed
from control_plane.platform.settings import Settings
from dashboards.simulation import fault_injection as fault_orders
from dashboards.simulation.auto_owner import try_advance
from dashboards.simulation.fault_injection import FaultInjectingV2
from dashboards.simulation.simulator import ACTOR, Simulator
from dashboards.simulation.traffic import generate_traffic

BETA = frozenset(f"u{number}" for number in range(1, 9))
SOAK = timedelta(seconds=15)
CHUNK_SECONDS = 0.25
DAY = timedelta(days=1)


@click.command("demo")
@click.option("--fault", "faults", multiple=True, metavar="KIND:RATE@WHEN", help="A fault in v2; repeatable.")
@click.option("--rate", default=40.0, show_default=True, help="Operations per second.")
@click.option("--seconds", default=0.0, help="Stop after this long. Default: at Ctrl-C.")
@click.option("--manual", is_flag=True, help="Leave every advance to you.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same traffic.")
def demo(*, faults: tuple[str, ...], rate: float, seconds: float, manual: bool, seed: int) -> None:
    """Serve the page on a fresh database while made-up users consume credits, and watch it roll out or back."""
    plan = demo_plan(datetime.now(UTC))
    try:
        ordered = [fault_orders.parse(text, [phase.name for phase in plan.phases]) for text in faults]
    except ValueError as error:
        raise CommandFailed(str(error)) from error
    until = time.monotonic() + seconds if seconds else float("inf")
    with tempfile.TemporaryDirectory(prefix="rollout-demo-") as folder:
        environment = {**os.environ, "INSTANCE_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/demo.db"}
        app = create_app(replace(Settings.from_env(environment), background=False))
        start_checks.run(app)
        with app.app_context(), _served(environment, plan):
            _perform(FaultInjectingV2(ordered, seed=seed), rate=rate, until=until, manual=manual, seed=seed)
            # Before the folder goes, which holds the database's file.
            db.engine.dispose()


def demo_plan(now: datetime) -> Plan:
    """The guide's phases, with soak times that somebody can watch."""
    guide = default_plan(now)
    return replace(guide, phases=tuple(replace(phase, soak=SOAK, served_minimum=0) for phase in guide.phases))


@contextmanager
def _served(environment: Mapping[str, str], plan: Plan) -> Iterator[None]:
    """A server of its own on the demo's database; it has no fault in it, those are in our traffic."""
    with transaction() as session:
        rollouts.plan(session, FLAG, plan, ChangeContext(datetime.now(UTC), ACTOR, "A demonstration."))
    server = subprocess.Popen([sys.executable, "-m", "control_plane", "serve"], env=environment)
    try:
        yield
    finally:
        server.terminate()
        server.wait(timeout=10)


def _perform(v2: FaultInjectingV2, *, rate: float, until: float, manual: bool, seed: int) -> None:
    stage = Simulator(v2, beta=BETA)
    rows = generate_traffic(
        seed=seed, begins_at=datetime.now(UTC) - DAY, between=timedelta(seconds=1 / rate), operations=10**9
    )
    entered: list[str] = []
    started = time.monotonic()
    try:
        for number, row in zip(count(1), rows, strict=False):
            _wait_for_turn(started + number / rate)
            now = datetime.now(UTC)
            v2.proceed(number, entered)
            # Users of the first second signed up before the rollout was planned, everybody later is a newcomer.
            stage.perform(row if number <= rate else replace(row, signed_up_at=now), now)
            if number % max(1, int(rate * CHUNK_SECONDS)) == 0:
                entered = _advance_if_open(entered, now, manual=manual)
            if time.monotonic() >= until:
                return
    except KeyboardInterrupt:
        return


def _advance_if_open(entered: list[str], now: datetime, *, manual: bool) -> list[str]:
    """Write the counts, advance if the gates are open, and say which phases have been entered."""
    signals.flush(now)
    with transaction() as session:
        if not manual:
            try_advance(session, now)
        name = rollouts.find(session, FLAG).phase.name
    return entered if name in entered else [*entered, name]


def _wait_for_turn(at: float) -> None:
    pause = at - time.monotonic()
    if pause > 0:
        time.sleep(pause)
