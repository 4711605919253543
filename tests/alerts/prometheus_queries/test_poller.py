"""A real Prometheus scrapes the real server, and an alert judges what it answers."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.prometheus_queries import poller, store
from alerts.prometheus_queries.prometheus import QueryError, query_total
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.settings import Settings
from control_plane.signal_counts import Counts
from tests import programs
from tests.applications import application
from tests.installation import Installation
from tests.processes import free_port
from tests.serving import serving

PATIENCE_SECONDS = 30
ALERTS = """
alerts:
  roast_quality_elsewhere:
    threshold: 1%
    window: 5m
    severity: critical
    metric: roast_quality_elsewhere
    query:
      bad: sum(guard_bad_outcomes_total{signal="roast_quality"})
      total: sum(guard_outcomes_total{signal="roast_quality"})
"""
TOTAL = 'sum(guard_outcomes_total{signal="roast_quality"})'


@pytest.mark.faults
def test_what_prometheus_answers_is_counted_once_and_its_silence_is_told(sqlite_template: Path, tmp_path: Path) -> None:
    file = shutil.copy(sqlite_template, tmp_path / "rollout.db")
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(ALERTS)
    port = free_port()
    settings = Settings(
        database_url=f"sqlite:///{file}",
        instance_dir=tmp_path,
        alerts_file=alerts,
        prometheus_url=f"http://127.0.0.1:{port}",
        background=False,
    )
    with application(settings) as app, app.app_context():
        token = Installation(app).token("service")
        poller.poll(datetime.now(UTC))
        assert "can't be asked" in problem()
        with serving(tmp_path) as served, prometheus(tmp_path, port, served.url):
            url = settings.prometheus_url
            with pytest.raises(QueryError, match="finds no series"):
                query_total(url, TOTAL, at=time.time())
            report(served.url, token, "batch-0001", bad=1, total=10)
            eventually(lambda: query_total(url, TOTAL, at=time.time()), 10)
            poller.poll(datetime.now(UTC))
            assert counted() is None, "what was there before is where counting begins"
            report(served.url, token, "batch-0002", bad=4, total=20)
            eventually(lambda: query_total(url, TOTAL, at=time.time()), 30)
            for _ in range(3):
                poller.poll(datetime.now(UTC))
            assert counted() == Counts(4, 20)
            for query, told in ((f"{TOTAL} / 0", "finite"), ("guard_outcomes_total", "sum them up"), ("((", "refuses")):
                with pytest.raises(QueryError, match=told):
                    query_total(url, query, at=time.time())
        poller.poll(datetime.now(UTC))
        assert "can't be asked" in problem()
        assert counted() == Counts(4, 20)


def problem() -> str:
    with read_only() as session:
        found = store.find(session, "roast_quality_elsewhere")
    assert found is not None
    return found.problem or ""


def counted() -> Counts | None:
    with read_only() as session:
        return signals.totals(session).get(SeriesKey("roast_quality_elsewhere"))


def report(url: str, token: str, batch: str, *, bad: int, total: int) -> None:
    body = {"batchId": batch, "signals": [{"name": "roast_quality", "bad": bad, "total": total}]}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/signals", json.dumps(body).encode(), headers), timeout=5)  # noqa: S310


@contextmanager
def prometheus(folder: Path, port: int, target: str) -> Iterator[None]:
    """Run Prometheus, scraping `target` each second."""
    scraping = {"job_name": "rollout", "static_configs": [{"targets": [target.removeprefix("http://")]}]}
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scraping]}))
    address = f"127.0.0.1:{port}"
    command = [
        programs.path_of("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        eventually(lambda: query_total(f"http://{address}", "vector(1)", at=time.time()), 1)
        yield
    finally:
        process.terminate()
        process.wait(10)


def eventually(look: Callable[[], Any], wanted: float) -> None:
    """Wait until `look` sees what is wanted; fails the test when it never does."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    seen: Any = None
    while time.monotonic() < give_up:
        try:
            seen = look()
        except QueryError as error:
            seen = error
        if seen == wanted:
            return
        time.sleep(0.1)
    pytest.fail(f"It never came to that; last seen: {seen}")
