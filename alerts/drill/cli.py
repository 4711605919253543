"""`rollout guard`."""

import signal
import sys
from dataclasses import asdict
from types import FrameType

import click

from alerts.drill import runner, store
from alerts.drill.attempt import NotGuardedError
from alerts.drill.faults import FAULTS, DrillAction
from alerts.drill.report import Report
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option


@click.group("guard")
def guard_group() -> None:
    """Try whether the guard does what it is there for."""


@guard_group.command("drill")
@click.option("--per-second", default=100, show_default=True, type=click.IntRange(1, 1000), help="Operations.")
@click.option("--timeout-seconds", default=30.0, show_default=True, help="When to call it failed.")
@click.option(
    "--fault",
    default="candidate",
    show_default=True,
    type=click.Choice(list(FAULTS)),
    help="What to break.",
)
@json_option
@in_application
def drill_command(*, per_second: int, timeout_seconds: float, fault: str, as_json: bool) -> None:
    """Break a flag that serves nobody and watch the running guard; exit code 1 if it does not act as it should."""
    signal.signal(signal.SIGTERM, _stop)  # so that the drill closes its flag on the way out, as it does on Ctrl-C
    try:
        report = runner.run(fault, per_second=per_second, timeout_seconds=timeout_seconds, actor=actor())
    except NotGuardedError as error:
        raise CommandFailed(str(error)) from error
    echo_result(asdict(report), _sentence(report), as_json=as_json)
    sys.exit(0 if report.passed else 1)


@guard_group.command("drills")
@json_option
@in_application
def drills_command(*, as_json: bool) -> None:
    """List the last drills."""
    with read_only() as session:
        found = store.latest(session)
    lines = [
        f"{each.at:%Y-%m-%d %H:%M} UTC  {_result(each.milliseconds, passed=each.passed)}  by {each.actor}"
        for each in found
    ]
    documents = [{"at": each.at, "actor": each.actor, **each.report} for each in found]
    echo_result(
        {"drills": documents}, "\n".join(lines) or "No drill yet; `rollout guard drill` runs one.", as_json=as_json
    )


def _sentence(report: Report) -> str:
    if not report.passed:
        return f"Not passed. {report.reason}"
    description = FAULTS[report.fault].description
    if report.action is DrillAction.ROLLBACK:
        timed = "" if report.milliseconds is None else f", {report.milliseconds} ms after the evidence was there"
        return f"{description} Rolled back {report.seconds:g} s after the first failure{timed}. {report.reason}"
    done = "held it" if report.action is DrillAction.HOLD else "left it alone, as it should"
    return f"{description} The guard {done}: {report.failed} of {report.outcomes} operations were bad. {report.reason}"


def _result(milliseconds: int | None, *, passed: bool) -> str:
    return f"{milliseconds} ms" if passed and milliseconds is not None else "not passed"


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)
