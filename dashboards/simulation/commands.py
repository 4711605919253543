"""`rollout replay`."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import Flask
from sqlalchemy.engine import make_url

from control_plane.app import create_app
from control_plane.core.default_plan import default_plan
from control_plane.platform import start_checks
from control_plane.platform.db.database import db
from control_plane.platform.runtime.cli_support import CommandFailed, json_option
from control_plane.platform.settings import Settings
from dashboards.simulation import fault_injection as fault_orders
from dashboards.simulation.auto_owner import PATIENCE, AutoOwner
from dashboards.simulation.fault_injection import FaultInjectingEngine
from dashboards.simulation.replay import Replay
from dashboards.simulation.report import Report
from dashboards.simulation.usage_log import LogError, LogSummary, UsageLogError, UsageRow, read, scan

BETA_USERS = 8


@click.command("replay")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--fault", "faults", multiple=True, metavar="KIND:RATE@WHEN", help="A fault in v2; repeatable.")
@click.option("--seed", default=1, show_default=True, help="Makes a run with faults repeatable.")
@click.option(
    "--patience",
    default=PATIENCE,
    show_default=True,
    type=click.IntRange(min=0),
    help="Soak times before a step that is too small to prove anything is approved.",
)
@click.option(
    "--risk",
    type=click.IntRange(1, 20),
    metavar="PERCENT",
    help="Also approve a step whose chance of being above a threshold is at most this.",
)
@click.option("--database", help="A fresh database to run on. Default: a temporary one, removed afterwards.")
@json_option
def replay(
    *,
    path: Path,
    faults: tuple[str, ...],
    seed: int,
    patience: int,
    risk: int | None,
    database: str | None,
    as_json: bool,
) -> None:
    """Take the usage log PATH through the whole rollout on its own clock, and report.

    Faults are double-charge, fail, deny, free and slow; WHEN is an operation number or a phase name.
    """
    try:
        found = scan(path, users=BETA_USERS)
        ordered = _ordered(faults, found)
    except (UsageLogError, ValueError) as error:
        raise CommandFailed(str(error)) from error
    with simulation_application(database) as app, app.app_context():
        owner = AutoOwner(patience, risk / 100 if risk else None)
        run = Replay(FaultInjectingEngine(ordered, seed=seed), beta=found.first_users, owner=owner)
        report = _simulate(path, found, run, quiet=as_json)
    report.unusable_rows = found.unusable
    click.echo(json.dumps(report.to_json(), indent=2) if as_json else report.to_text(found.mistakes))


def _simulate(path: Path, found: LogSummary, run: Replay, *, quiet: bool) -> Report:
    assert found.begins_at is not None
    run.prepare(found.begins_at)
    is_hidden = quiet or not sys.stderr.isatty()
    with click.progressbar(length=found.usable, label="Rehearsing", file=sys.stderr, hidden=is_hidden) as bar:
        return run.run(_usable(path), bar.update)


def _usable(path: Path) -> Iterator[UsageRow]:
    return (row for row in read(path) if not isinstance(row, LogError))


def _ordered(faults: tuple[str, ...], found: LogSummary) -> list[fault_orders.Fault]:
    assert found.begins_at is not None
    names = [phase.name for phase in default_plan(found.begins_at).phases]
    return [fault_orders.parse(text, names) for text in faults]


@contextmanager
def simulation_application(database: str | None) -> Iterator[Flask]:
    """Provide an application of its own: a rehearsal never touches the served database unless it is named."""
    with tempfile.TemporaryDirectory(prefix="rollout-replay-") as folder:
        url = database or f"sqlite:///{folder}/replay.db"
        # In the folder that goes: whoever replays a log has no installation here.
        ours = Settings.from_env({**os.environ, "INSTANCE_DIR": folder})
        app = create_app(
            Settings(
                database_url=make_url(url).render_as_string(hide_password=False),
                instance_dir=Path(folder),
                secret_key="a rehearsal signs nothing",  # noqa: S106 - nobody can reach this application
                alerts_file=ours.alerts_file,
                # What is thrown away need not survive a power cut; what somebody named keeps the setting it would have.
                sqlite_synchronous=ours.sqlite_synchronous if database else "OFF",
                background=False,
            )
        )
        start_checks.run(app)
        try:
            yield app
        finally:
            with app.app_context():
                db.engine.dispose()
