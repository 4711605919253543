"""Gauges of workers that have ended are no part of what is shown."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane.platform.observability import prometheus_multiprocess


def test_what_an_ended_worker_last_set_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    names = [f"gauge_livesum_{ended.pid}.db", f"gauge_livesum_{os.getpid()}.db", f"counter_{ended.pid}.db"]
    for name in names:
        (tmp_path / name).touch()
    monkeypatch.setenv(prometheus_multiprocess.VARIABLE, str(tmp_path))
    prometheus_multiprocess.remove_ended_processes()
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])
