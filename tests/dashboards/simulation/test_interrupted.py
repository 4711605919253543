"""A demonstration or a replay that is told to stop takes its server and its folder with it."""

import signal
import socket
from pathlib import Path

import pytest

from dashboards.simulation.usage_log import COLUMNS
from tests.dashboards.simulation.commands import WAIT_SECONDS, command, wait_for
from tests.processes import free_port

pytestmark = pytest.mark.faults

DAY = "2026-01-01"


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
