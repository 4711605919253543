"""The product as its users meet it: `rollout serve` in a process of its own, on a database of its own."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import dies_with_us, free_port

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("rollout")
KEPT = ("PATH", "HOME", "LANG", "TMPDIR")
"""What the server sees of our environment: no setting of whoever runs the tests."""
SECRET_KEY = "a secret key of the tests, which guards nothing"
Program = Path | str | Sequence[Path | str]
"""A program, or a program and what comes before `serve` on its command line."""
START_SECONDS = 120
STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: where it answers, its process, and the file of everything it prints."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def workers(self) -> list[int]:
        """The processes that answer requests (Linux). The command server beside them leads a session of its own."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [int(number) for task in tasks for number in task.read_text().split()]
        return [each for each in children if not _leads_session(each)]


def _leads_session(process: int) -> bool:
    try:
        return os.getsid(process) == process
    except ProcessLookupError:  # it ended a moment ago
        return False


@contextmanager
def serving(instance: Path, *, command: Program = COMMAND, **environment: str) -> Iterator[Served]:
    """Serve the installation in `instance` while the block lasts; settings go in by their environment names."""
    port = int(environment.get("PORT") or free_port())
    settings = {"INSTANCE_DIR": str(instance), "ALERTS_FILE": str(ROOT / "alerts.yaml"), "PORT": str(port)}
    inherited = {name: os.environ[name] for name in KEPT if name in os.environ}
    program = [command] if isinstance(command, Path | str) else command
    log = instance / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*program, "serve"],
            cwd=instance,
            env=inherited | settings | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
        )
    served = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        _wait_until_alive(served)
        yield served
    finally:
        _stop(process)


def _wait_until_alive(served: Served) -> None:
    give_up = time.monotonic() + START_SECONDS
    while served.process.poll() is None and time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{served.url}/healthz", timeout=1):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"`rollout serve` did not answer. It printed:\n{served.log.read_text(errors='replace')}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
