"""Flags in a real Celery worker, whose pool ends its processes without what Python runs at their end."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from celery import Celery

from flags.client.celery import init_app
from tests.flags.client.conftest import Server
from tests.processes import dies_with_us

ROOT = Path(__file__).parents[3]
STOP_SECONDS = 60
TASKS = """
import time
from pathlib import Path

from celery import Celery

from flags.client import reporter
from flags.client.celery import init_app

reporter.FLUSH_SECONDS = 3600.0
app = Celery("shop", broker="filesystem://")
app.conf.update(
    broker_transport_options={folders},
    flags_url="{url}", flags_token="*:staging.x", flags_results_token="-",
)
flags = init_app(app, cache_dir=Path("{place}/cache"))


@app.task
def price(number):
    flags.compare("TIERED", control=lambda: 1, candidate=lambda: 2, key=number)
    time.sleep(0.1)  # the shadow has a thread of its own
    Path("{place}/done").write_text("1")
"""


@pytest.mark.faults
@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_what_a_task_compared_is_reported_when_the_worker_stops(
    server: Server, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None], pool: str
) -> None:
    (tmp_path / "queue").mkdir()
    folders = {name: str(tmp_path / "queue") for name in ("data_folder_in", "data_folder_out", "control_folder")}
    (tmp_path / "tasks.py").write_text(TASKS.format(place=tmp_path, url=server.url, folders=folders))
    sender = Celery("shop", broker="filesystem://")
    sender.conf.update(broker_transport_options=folders)
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "--app", "tasks", "worker", "--pool", pool, "--concurrency", "1"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "TIERED": "true", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
    )
    try:
        sender.send_task("tasks.price", [7])
        eventually((tmp_path / "done").exists)
    finally:
        worker.terminate()
        worker.wait(STOP_SECONDS)
        sender.close()
    assert [(batch["flag"], len(batch["results"])) for batch in server.taken] == [("TIERED", 1)]
    assert server.taken[0]["results"][0]["served"] == "candidate"


def test_the_configuration_has_to_say_where_and_by_what() -> None:
    with pytest.raises(KeyError, match="flags_url"):
        init_app(Celery("shop"))
