"""A drill against the real server: the guard that runs there rolls back what was broken on purpose."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from alerts.drill import runner
from alerts.drill.attempt import NotGuardedError
from control_plane import rollouts
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only
from control_plane.platform.settings import Settings
from control_plane.rollouts import store
from tests.applications import application
from tests.installation import Installation
from tests.serving import COMMAND, KEPT, ROOT, serving

pytestmark = pytest.mark.faults


def rollout(instance: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `rollout …` on the installation in `instance`."""
    return subprocess.run([COMMAND, *arguments], env=environment(instance), capture_output=True, text=True, check=False)


def environment(instance: Path) -> dict[str, str]:
    """Return the environment of a command of the installation in `instance`."""
    inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
    return inherited | {"INSTANCE_DIR": str(instance), "ALERTS_FILE": str(ROOT / "alerts.yaml")}


def test_the_running_guard_passes_a_drill_which_leaves_the_real_rollout_alone(
    sqlite_template: Path, tmp_path: Path
) -> None:
    file = shutil.copy(sqlite_template, tmp_path / "rollout.db")
    settings = Settings(database_url=f"sqlite:///{file}", instance_dir=tmp_path, background=False)
    with application(settings) as app:
        Installation(app).plan()
        Installation(app).move(3)
        with serving(tmp_path):
            report = drilled(tmp_path)
            again = drilled(tmp_path)
        with app.app_context(), read_only() as session:
            assert rollouts.find(session, FLAG).state is RolloutState.RUNNING
            assert rollouts.find(session, "GUARD_DRILL").latched
    assert report["milliseconds"] is not None
    assert report["failed"] >= report["failures_needed"] > 1
    kept: Any = json.loads(rollout(tmp_path, "guard", "drills", "--json").stdout)
    assert [each["milliseconds"] for each in kept["drills"]] == [again["milliseconds"], report["milliseconds"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_drill_that_is_ended_from_outside_leaves_nobody_exposed(
    sqlite_template: Path, tmp_path: Path, number: signal.Signals
) -> None:
    file = shutil.copy(sqlite_template, tmp_path / "rollout.db")
    settings = Settings(database_url=f"sqlite:///{file}", instance_dir=tmp_path, background=False)
    with application(settings) as app, app.app_context():
        Installation(app).plan()
        with serving(tmp_path):
            drill = begun(tmp_path)
            until(lambda: state() is RolloutState.RUNNING)
            drill.send_signal(number)
            assert drill.wait(20) != 0
            until(lambda: state() is RolloutState.ROLLED_BACK)


def begun(instance: Path) -> subprocess.Popen[str]:
    """Return a drill that runs, once the guard does."""
    while True:
        drill = subprocess.Popen([COMMAND, "guard", "drill"], env=environment(instance), text=True)
        if state_is_known(drill):
            return drill


def state_is_known(drill: subprocess.Popen[str]) -> bool:
    """Wait until the drill has opened its flag, and return whether it did; not where the guard was still starting."""
    while drill.poll() is None:
        if state() is not None:
            return True
        time.sleep(0.05)
    return False


def state() -> RolloutState | None:
    with read_only() as session:
        found = store.load(session, "GUARD_DRILL")
    return found.state if found else None


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise TimeoutError


def drilled(instance: Path) -> dict[str, Any]:
    """Return the report of a drill that passed; the first one may find the guard still starting."""
    for _ in range(20):
        done = rollout(instance, "guard", "drill", "--json")
        if "No guard is running" not in done.stderr:
            break
        time.sleep(0.5)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["passed"] is True
    return report


@pytest.mark.database("sqlite")
def test_without_a_guard_there_is_nothing_to_drill(app: Flask) -> None:
    with app.app_context(), pytest.raises(NotGuardedError, match="rollout serve"):
        runner.run(per_second=10, timeout_seconds=1, actor="olga")
