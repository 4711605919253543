"""A demonstration or a replay that is told to stop takes its server and its folder with it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dashboards.simulation.usage_log import COLUMNS
from tests.conftest import ROOT
from tests.processes import dies_with_us, free_port

WAIT_SECONDS = 60
DAY = "2026-01-01"


@contextmanager
def command(folder: Path, port: int, *arguments: str, printed: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`rollout …` with its temporary files in `folder`, what it prints in `printed`; stopped at the end."""
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder), "PORT": str(port), "INSTANCE_DIR": str(folder)}
    with (printed or Path(os.devnull)).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "control_plane", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
            preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(WAIT_SECONDS)


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def answers(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demonstration_that_is_stopped_leaves_no_server_and_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    port = free_port()
    with command(tmp_path, port, "demo", "--no-history", "--rate", "5") as demo:
        wait_for(lambda: answers(port))
        demo.send_signal(number)
        demo.wait(WAIT_SECONDS)
    assert not answers(port)
    assert list(tmp_path.glob("rollout-demo-*")) == []


def test_a_replay_that_is_stopped_leaves_no_folder(tmp_path: Path) -> None:
    log = tmp_path / "usage.csv"
    times = [f"{DAY}T08:{number // 60:02}:{number % 60:02}Z" for number in range(3_000)]
    rows = [f"op-{number},{at},u1,{times[0]},pro,analysis,1" for number, at in enumerate(times)]
    log.write_text("\n".join([",".join(COLUMNS), *rows]))
    with command(tmp_path, free_port(), "replay", str(log)) as replay:
        wait_for(lambda: any(tmp_path.glob("rollout-replay-*/replay.db")))
        replay.terminate()
        replay.wait(WAIT_SECONDS)
    assert list(tmp_path.glob("rollout-replay-*")) == []
