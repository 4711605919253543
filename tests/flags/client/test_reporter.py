"""Results arrive in batches, each once; a server that is away or refuses costs results, and their number arrives."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from flags.client import reporter
from flags.client.reporter import Reporter
from tests.flags.client.conftest import Server

RESULT: dict[str, object] = {"served": "control"}


@pytest.fixture
def report(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reporter]:
    """A reporter that sends when it is told to."""
    monkeypatch.setattr(reporter, "FLUSH_SECONDS", 3600.0)
    made = Reporter(server.url, "-", before_each=lambda: None)
    yield made
    made.close()


def test_results_of_several_flags_arrive_in_batches_of_their_own(report: Reporter, server: Server) -> None:
    for number in range(reporter.BATCH + 1):
        report.add("F", RESULT | {"number": number})
        report.add("G", RESULT)
    report._flush()
    assert [(batch["flag"], len(batch["results"])) for batch in server.batches if batch["flag"] == "F"] == [
        ("F", reporter.BATCH),
        ("F", 1),
    ]
    numbers = [each["number"] for batch in server.batches if batch["flag"] == "F" for each in batch["results"]]
    assert numbers == list(range(reporter.BATCH + 1))
    assert sum(len(batch["results"]) for batch in server.batches if batch["flag"] == "G") == reporter.BATCH + 1


def test_a_batch_that_was_not_taken_is_sent_again_under_its_name(report: Reporter, server: Server) -> None:
    server.status = 503
    report.add("F", RESULT)
    report._flush()
    report._flush()
    server.status = 202
    report._flush()
    assert len({batch["batchId"] for batch in server.batches}) == 1
    assert len(server.taken) == 1


def test_what_does_not_fit_is_lost_and_the_number_arrives(
    report: Reporter, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter, "RESULTS_MAX", 3)
    for _ in range(5):
        report.add("F", RESULT)
    report.add("F", {"served": "candidate"})
    report._flush()
    (batch,) = server.batches
    assert (len(batch["results"]), batch["lost"]) == (3, {"control": 2, "candidate": 1})


@pytest.mark.parametrize("status", [404, 422, 403, 301])
def test_a_refused_batch_is_lost_once_and_not_sent_again_and_again(
    report: Reporter, server: Server, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    server.status = status
    report.add("F", RESULT)
    report._flush()
    report._flush()
    assert len(server.batches) == (2 if status == 301 else 1), "a redirect isn't followed, but it may end"
    monkeypatch.setattr(reporter, "PAUSE_SECONDS", 0.0)
    server.status, report._paused_until = 202, 0.0
    report._flush()
    if status != 301:
        assert server.taken[-1]["lost"] == {"control": 1}


def test_results_older_than_a_minute_are_lost(
    report: Reporter, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = 503
    report.add("F", RESULT)
    report._flush()
    report.add("F", {"served": "candidate"})
    monkeypatch.setattr(reporter, "AGE_SECONDS", 0.0)
    server.status = 202
    report._flush()
    assert [(batch["results"], batch["lost"]) for batch in server.taken] in (
        [([], {"control": 1, "candidate": 1})],
        [([], {"candidate": 1, "control": 1})],
    )


def test_closing_sends_what_waits(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "FLUSH_SECONDS", 3600.0)
    made = Reporter(server.url, "-", before_each=lambda: None)
    made.add("F", RESULT)
    made.close()
    assert len(server.taken) == 1


def test_a_process_that_ends_without_closing_sends_what_waits(server: Server) -> None:
    program = (
        "from flags.client.reporter import Reporter\n"
        f"Reporter({server.url!r}, '-', before_each=lambda: None).add('F', {RESULT!r})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert [batch["results"] for batch in server.taken] == [[RESULT]]


def test_an_error_of_what_runs_before_each_report_ends_no_reporting(
    server: Server, monkeypatch: pytest.MonkeyPatch, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    monkeypatch.setattr(reporter, "FLUSH_SECONDS", 0.01)
    calls: list[int] = []

    def before_each() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("once")

    made = Reporter(server.url, "-", before_each=before_each)
    made.add("F", RESULT)
    eventually(lambda: len(server.taken) == 1)
    made.close()


@pytest.mark.parametrize("flag", ["50% off?", "a#b", "día"])
def test_results_arrive_at_the_address_of_their_flag_whatever_its_name(
    report: Reporter, server: Server, flag: str
) -> None:
    report.add(flag, RESULT)
    report._flush()
    assert [batch["flag"] for batch in server.batches] == [flag]
