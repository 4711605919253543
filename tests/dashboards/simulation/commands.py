"""Simulations as commands in processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import ROOT
from tests.processes import dies_with_us

WAIT_SECONDS = 180


@contextmanager
def command(folder: Path, port: int, *arguments: str, printed: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run `rollout …` with temporary files in `folder` and its output in `printed`; stop it at the end."""
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


def wait_for(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)
