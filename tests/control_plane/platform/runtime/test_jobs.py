"""Jobs: spread over their interval, by the database's clock, and a process that can't write says so."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from psycopg.errors import LockNotAvailable
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from control_plane.cohort_names import Cohort
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.models import LeaseRow
from control_plane.platform.observability import cohort_counts, signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import jobs, leases
from control_plane.platform.runtime.jobs import LEAD, LEADER, LEASE_SECONDS, Jobs, jobs_of
from tests import outages

SECONDS, NUMBER = 600.0, 12


def test_jobs_of_one_interval_begin_apart_and_within_it(app: Flask) -> None:
    schedule, made_at = Jobs(app), time.monotonic()
    for number in range(NUMBER):
        schedule.run_on_leader(SECONDS, f"job {number}", lambda _now: None)
    after = sorted(work.due - made_at for work in schedule._rare)
    apart = [later - earlier for earlier, later in zip(after, [*after[1:], after[0] + SECONDS], strict=True)]
    assert len(after) == NUMBER
    assert min(apart) > SECONDS / NUMBER / 3
    assert after[0] >= 0
    assert after[-1] < SECONDS + 60  # a minute for a machine that stood still while they were registered


def test_frequent_work_goes_on_after_a_failure_and_ends_with_the_process(app: Flask) -> None:
    schedule, runs, done = Jobs(app), list[datetime](), threading.Event()

    def work(now: datetime) -> None:
        runs.append(now)
        if len(runs) == 1:
            raise RuntimeError("Poisonous.")
        if len(runs) == 5:
            done.set()

    schedule.run_on_all(0.02, "frequent", work)
    schedule.start()
    assert done.wait(30)
    schedule.stop()
    assert [thread.name for thread in schedule._schedule._threads if thread.is_alive()] == []


def test_frequent_work_that_lasts_long_holds_up_no_other_and_is_not_called_for_what_it_missed(app: Flask) -> None:
    schedule, others, release = Jobs(app), threading.Semaphore(0), threading.Event()
    held: list[datetime] = []

    def hang(now: datetime) -> None:
        held.append(now)
        release.wait(30)

    schedule.run_on_all(0.01, "hangs", hang)
    schedule.run_on_all(0.01, "other", lambda _now: others.release())
    schedule.start()
    for _ in range(20):
        assert others.acquire(timeout=30)
    assert len(held) == 1
    release.set()
    schedule.stop()


def test_a_process_that_can_not_write_is_not_ready(app: Flask, client: FlaskClient) -> None:
    found = jobs.jobs_of(app)
    with outages.read_only_database(app):
        found._call(jobs.LEAD, found._lead)
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["checks"]["writes"].startswith("The database takes no changes (")
    found._call(jobs.LEAD, found._lead)
    assert client.get("/readyz").status_code == 200


@pytest.mark.database("postgresql")
def test_a_host_whose_clock_is_ahead_holds_the_lead_no_longer(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "host_time", lambda: datetime.now(UTC) + timedelta(minutes=5))
    ahead = jobs_of(app)
    ahead._call(LEAD, ahead._lead)
    assert ahead.leading
    with app.app_context(), read_only() as session:
        lease = session.get_one(LeaseRow, LEADER)
    assert lease.expires_at - datetime.now(UTC) <= timedelta(seconds=LEASE_SECONDS + 1)


@pytest.mark.database("postgresql")
def test_work_on_a_schedule_is_given_the_time_of_the_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "host_time", lambda: datetime.now(UTC) - timedelta(minutes=5))
    behind, times = jobs_of(app), list[datetime]()
    behind._call(LEAD, behind._lead)
    behind._call("work", times.append)
    assert abs(times[0] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_heartbeat_that_hangs_is_told_though_nothing_failed(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        begun.set()
        release.wait(30)

    found = jobs_of(app)
    monkeypatch.setattr(jobs, "HANGS_SECONDS", 0.0)
    monkeypatch.setattr(leases, "acquire", hang)
    beat = threading.Thread(target=found._call, args=[LEAD, found._lead])
    beat.start()
    assert begun.wait(30)
    assert client.get("/readyz").get_json()["checks"]["writes"] == "The database takes no changes (it does not answer)."
    release.set()
    beat.join()
    assert client.get("/readyz").status_code == 200


def test_who_had_no_heartbeat_for_as_long_as_a_lease_leads_no_longer(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, runs = jobs_of(app), list[int]()
    found._call(LEAD, found._lead)
    found._run_leading("work", lambda _now, term: runs.append(term))
    assert len(runs) == 1
    monkeypatch.setattr(found, "_leads_until", time.monotonic() - 0.001)
    assert not found.leading
    found._run_leading("work", lambda _now, term: runs.append(term))
    assert len(runs) == 1, "somebody else may lead by now"
    found._call(LEAD, found._lead)
    assert found.leading


def test_what_waits_for_the_next_flush_of_cohorts_is_written_without_anything_new(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_counts, "FLUSH_SECONDS", 1)
    buffer, schedule = signals.BUFFER.get(app), Jobs(app)
    schedule.start()
    give_up = time.monotonic() + 30
    try:
        for number in range(2):
            buffer.add(Sample("price_failure", False, "new", "served", f"u{number}", None, (Cohort("plan", "pro"),)))
            while buffer.counted.is_set():
                assert time.monotonic() < give_up
                time.sleep(0.01)
        while buffer.filled:
            assert time.monotonic() < give_up
            time.sleep(0.01)
    finally:
        schedule.stop()


def test_the_end_writes_what_still_waits(app: Flask) -> None:
    buffer, schedule = signals.BUFFER.get(app), Jobs(app)
    schedule.start()
    for number in range(2):
        buffer.add(Sample("price_failure", False, "new", "served", f"u{number}", None, (Cohort("plan", "pro"),)))
        while buffer.counted.is_set():
            time.sleep(0.01)
    schedule.stop()
    with app.app_context(), read_only() as session:
        assert [each.total for each in cohort_counts.read(session).values()] == [2]
    assert not buffer.filled


@pytest.mark.parametrize(
    ("error", "cause"),
    [(OperationalError("UPDATE", {}, ConnectionError()), "it can't be reached"), (RuntimeError("Poisonous."), None)],
)
def test_an_outage_takes_one_line_of_the_log_and_a_defect_its_traceback(
    app: Flask, error: Exception, cause: str | None
) -> None:
    def fail(_now: datetime) -> None:
        raise error

    with capture_logs() as said:
        Jobs(app)._call("work", fail)
    (line,) = (each for each in said if each["event"] == "job.failed")
    assert (line.get("cause"), line.get("exc_info")) == (cause, True if cause is None else None)


def test_an_outage_is_logged_once_for_each_cause_and_its_end_with_what_it_took(app: Flask) -> None:
    ends = [ConnectionError(), ConnectionError(), LockNotAvailable(), ConnectionError(), None, None]

    def run(_now: datetime) -> None:
        if (end := ends.pop(0)) is not None:
            raise OperationalError("UPDATE", {}, end)

    found = Jobs(app)
    with capture_logs() as said:
        while ends:
            found._call("work", run)
    reached = ("job.failed", "it can't be reached")
    events = [(each["event"], each.get("cause", each.get("failures"))) for each in said]
    assert events == [reached, ("job.failed", "a lock is held by somebody else"), reached, ("job.recovered", 4)]
