"""What a scrape shows of the guard, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import leases
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE

LEASE = timedelta(seconds=30)


@pytest.fixture
def now() -> datetime:
    """The real present, in which a scrape happens."""
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def at_work(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    """Inside the application, judged once."""
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        yield


def scraped(app: Flask, name: str, **labels: str) -> list[float]:
    """Return the values of every sample of that name with at least these labels."""
    text = app.test_client().get("/metrics").text
    return [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def test_every_series_of_every_alert_is_there_before_its_first_outcome(app: Flask) -> None:
    for name in ("guard_outcomes_total", "guard_bad_outcomes_total"):
        assert scraped(app, name, signal=FAILURE, engine="v2", role="served") == [0]
        assert scraped(app, name, signal="billing_webhook_failure", engine="") == [0]
    assert scraped(app, "guard_rollbacks_total", alert=FAILURE, attribution="v2_only") == [0]


def test_a_rollback_is_seen_with_its_evidence_and_its_cause(app: Flask, stored_rollout: StoredRollout) -> None:
    for number in range(20):
        signals.record(Sample(FAILURE, bad=number < 12, engine="v2", account=f"u{number}"))
    run_guard(stored_rollout.now + timedelta(seconds=1), 1)
    assert scraped(app, "guard_bad_outcomes_total", signal=FAILURE, engine="v2", role="served") == [12]
    assert scraped(app, "guard_rollbacks_total", alert=FAILURE, attribution="unknown") == [1]
    assert scraped(app, "guard_exposed", flag=FLAG) == [0]
    (evidence,), (bar,) = (scraped(app, f"guard_{name}_log10", alert=FAILURE) for name in ("evidence", "rollback"))
    assert evidence > bar
    assert scraped(app, "guard_verdict", alert=FAILURE, status="rollback") == [1]
    assert sum(scraped(app, "guard_verdict", alert=FAILURE)) == 1


def test_a_persons_rollback_counts_as_a_persons_and_its_second_cause_as_none(
    app: Flask, stored_rollout: StoredRollout
) -> None:
    for _ in range(2):
        with transaction() as session:
            rollouts.roll_back(session, FLAG, ChangeContext(stored_rollout.now, "olga", "Support asked."))
    assert scraped(app, "guard_rollbacks_total", alert="person") == [1]


def test_a_guard_that_lags_shows_before_its_lease_ends(app: Flask, stored_rollout: StoredRollout) -> None:
    (left,), (lag,) = scraped(app, "guard_lease_seconds_left"), scraped(app, "guard_lag_seconds")
    assert left + lag == pytest.approx(LEASE.total_seconds(), abs=5), "two scrapes, a moment apart"
    with transaction() as session:
        leases.heartbeat(
            session, now=stored_rollout.now - timedelta(hours=1), term=2, ttl_seconds=LEASE.total_seconds()
        )
    assert scraped(app, "guard_lease_seconds_left") == [0]
    assert scraped(app, "guard_lag_seconds")[0] > 3599
