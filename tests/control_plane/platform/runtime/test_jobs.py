"""Work of the same interval is spread over it, so that the leader never stops requests with all of it at once."""

from datetime import UTC, datetime

from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.jobs import Jobs
from tests import outages

SECONDS, NUMBER = 600.0, 12


def test_jobs_of_one_interval_begin_apart_and_within_it(app: Flask) -> None:
    schedule, made_at = Jobs(app), datetime.now(UTC)
    for number in range(NUMBER):
        schedule.run_on_leader(SECONDS, f"job {number}", lambda _now, _term: None)
    fired = [job.trigger.get_next_fire_time(None, made_at) for job in schedule._scheduler.get_jobs()]
    after = sorted((each - made_at).total_seconds() for each in fired)
    apart = [later - earlier for earlier, later in zip(after, [*after[1:], after[0] + SECONDS], strict=True)]
    assert len(after) == NUMBER
    assert min(apart) > SECONDS / NUMBER / 3
    assert after[0] >= 0
    assert after[-1] < SECONDS + 60  # a minute for a machine that stood still while they were registered


def test_a_process_that_can_not_write_is_not_ready(app: Flask, client: FlaskClient) -> None:
    found = jobs.jobs_of(app)
    with outages.read_only_database(app):
        found._call(jobs.LEAD, found._lead)
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["checks"]["writes"].startswith("The database takes no changes (")
    found._call(jobs.LEAD, found._lead)
    assert client.get("/readyz").status_code == 200
