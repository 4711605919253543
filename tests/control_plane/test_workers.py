"""Several workers as one: what they count adds up, and what an earlier start counted is gone."""

from pathlib import Path

import pytest
import requests

from tests.serving import Served, serving

pytestmark = pytest.mark.faults

ASKED = 40
SERIES = 'rollout_http_requests_total{method="GET",route="/readyz",status="200"}'


def ask(served: Served) -> None:
    """Ask over a connection of its own each time, so that every worker gets some."""
    for _ in range(ASKED):
        assert requests.get(f"{served.url}/readyz", timeout=10).status_code == 200


def counted(served: Served) -> float:
    lines = requests.get(f"{served.url}/metrics", timeout=10).text.splitlines()
    return sum(float(line.removeprefix(SERIES)) for line in lines if line.startswith(SERIES))


def test_two_workers_tell_the_same_and_begin_again_with_each_start(postgresql_url: str, tmp_path: Path) -> None:
    for _start in range(2):
        with serving(tmp_path, DATABASE_URL=postgresql_url, WORKERS="2") as served:
            ask(served)
            assert {counted(served) for _ in range(10)} == {ASKED}, "whichever worker is asked"
            assert served.log.read_text().count("Page      http") == 1


def test_only_files_of_metrics_are_removed_from_a_folder_that_was_named(tmp_path: Path) -> None:
    (folder := tmp_path / "counted").mkdir()
    left = [folder / name for name in ("rollout.db", "notes.txt", "counter_x.db")]
    gone = [folder / name for name in ("counter_1.db", "histogram_1.db", "gauge_livesum_77.db")]
    for path in (*left, *gone):
        path.write_bytes(b"rubbish")
    with serving(tmp_path, PROMETHEUS_MULTIPROC_DIR=str(folder)):
        pass
    assert [path.exists() for path in (*left, *gone)] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("threads", ["4"])
def test_connections_that_idle_keep_nobody_out(tmp_path: Path, threads: str) -> None:
    with serving(tmp_path, THREADS=threads, STREAMS="1") as served:
        idle = [requests.Session() for _ in range(5 * int(threads))]
        for session in idle:
            assert session.get(f"{served.url}/healthz", timeout=10).ok
        assert requests.get(f"{served.url}/healthz", timeout=10).ok
        for session in idle:
            session.close()
