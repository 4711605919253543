"""Services report the migrations that they run: what is true is counted once, what can't be is refused and named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from limits import parse
from werkzeug.test import TestResponse

from alerts.definitions.rules_file import RULES_FILE, RulesFile
from alerts.inbound import experiments_api
from control_plane.cohort_names import FAILED_BEFORE, Cohort
from control_plane.experiments.credits import FLAG as CREDITS_FLAG
from control_plane.experiments.registry import registered_migrations
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import cohort_counts, signals
from control_plane.platform.observability.cohort_counts import NAMES_MAX, CohortCount
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts

FLAG = "ENABLE_TIERED_PRICES"
ALERTS = f"""
migrations:
  {FLAG}: {{control: list, candidate: tiered, prefix: price}}
alerts:
  price_failure: {{threshold: 1%, window: 5m, severity: critical}}
"""
GOOD = {"outcome": "answered", "durationUs": 900}
FAILED = {"outcome": "failed", "durationUs": 900}
SKIPPED = {"outcome": "skipped", "durationUs": 0}
ANN, BEN = "0" * 16, "1" * 16
RESULT: dict[str, Any] = {"served": "candidate", "account": ANN, "control": GOOD, "candidate": GOOD, "equal": True}
BATCH: dict[str, Any] = {"batchId": "prices-0001", "results": [RESULT]}
Post = Callable[..., TestResponse]


@pytest.fixture
def post(app: Flask, client: FlaskClient, service_token: str, tmp_path: Path) -> Post:
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(ALERTS)
    with app.app_context():
        RULES_FILE.set(app, RulesFile(alerts, registered_migrations))

    def post(body: object = BATCH, *, flag: str = FLAG, **options: Any) -> TestResponse:
        permission = {"Authorization": f"Bearer {service_token}"}
        return client.post(f"/api/experiments/{flag}/results", **({"json": body} | options), headers=permission)

    return post


def counted(app: Flask) -> dict[SeriesKey, Counts]:
    with app.app_context(), read_only() as session:
        return {key: count for key, count in signals.totals(session).items() if key.signal.startswith("price_")}


def batch(*results: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return BATCH | {"results": list(results)} | fields


def test_a_result_counts_as_one_that_this_program_ran_itself(app: Flask, post: Post) -> None:
    assert [post(batch(RESULT | {"equal": False})).get_json()["counted"] for _ in range(2)] == [True, False]
    assert counted(app) == {
        SeriesKey("price_routed", "tiered"): Counts(0, 1),
        SeriesKey("price_serving_failure", "tiered"): Counts(0, 1),
        SeriesKey("price_failure", "tiered"): Counts(0, 1),
        SeriesKey("price_failure", "list", "shadow"): Counts(0, 1),
        SeriesKey("price_slow", "tiered"): Counts(0, 1),
        SeriesKey("price_slow", "list", "shadow"): Counts(0, 1),
        SeriesKey("price_difference"): Counts(1, 1),
        SeriesKey("price_shadow_skipped", "tiered"): Counts(0, 1),
    }


def test_the_side_that_failed_alone_is_named(app: Flask, post: Post) -> None:
    failed = RESULT | {"candidate": FAILED, "equal": None}
    post(batch(failed, failed | {"account": BEN, "served": "control"}))
    found = counted(app)
    assert found[SeriesKey("price_failed_candidate_only")] == Counts(2, 2)
    assert found[SeriesKey("price_failure", "tiered", "shadow")] == Counts(1, 1)
    assert SeriesKey("price_failed_control_only") not in found


def test_one_account_that_fails_a_thousand_times_is_one_failure(app: Flask, post: Post) -> None:
    failed = RESULT | {"candidate": FAILED, "equal": None}
    assert post(batch(*[failed] * 1000)).status_code == 202
    assert counted(app)[SeriesKey("price_failure", "tiered")].bad == 1


def in_cohorts(app: Flask) -> dict[Cohort, CohortCount]:
    """Return what is counted of the candidate's failures, by cohort."""
    with app.app_context(), read_only() as session:
        found = cohort_counts.read(session)
    return {key.cohort: count for key, count in found.items() if key[:2] == ("price_failure", "tiered")}


def test_results_count_in_the_cohorts_that_they_name(app: Flask, post: Post) -> None:
    norway = RESULT | {"cohorts": {"country": "NO", "with a voucher": ""}}
    failed = norway | {"candidate": FAILED, "equal": None}
    post(batch(norway, failed, RESULT | {"account": BEN, "cohorts": {"country": "DK"}}))
    assert in_cohorts(app) == {
        Cohort("country", "NO"): CohortCount(1, 2, 1),
        Cohort("with a voucher"): CohortCount(1, 2, 1),
        Cohort("country", "DK"): CohortCount(0, 1, 0),
    }
    post(batch(norway, batchId="prices-0002"))
    assert in_cohorts(app)[Cohort(FAILED_BEFORE)] == CohortCount(0, 1, 0), "known from the batch before"


def test_no_service_fills_the_database_with_names(app: Flask, post: Post) -> None:
    for number in range(3):
        named = [RESULT | {"cohorts": {"country": f"{number} {each}"}} for each in range(NAMES_MAX)]
        post(batch(*named, batchId=f"prices-{number}-of-many"))
    assert sum(each.dimension == "country" for each in in_cohorts(app)) == NAMES_MAX


def test_lost_results_are_as_good_as_not_compared(app: Flask, post: Post) -> None:
    post(batch(lost={"candidate": 40}))
    assert counted(app) == {
        SeriesKey("price_routed", "tiered"): Counts(0, 40),
        SeriesKey("price_outcome_missing", "tiered"): Counts(0, 40),
        SeriesKey("price_comparison_missing", "tiered"): Counts(0, 40),
        SeriesKey("price_shadow_skipped", "tiered"): Counts(40, 40),
    }


@pytest.mark.parametrize(
    "body",
    [
        batch(RESULT | {"served": "tiered"}),
        batch(RESULT | {"served": "both"}),
        batch(RESULT | {"candidate": SKIPPED, "equal": None}),
        batch(RESULT | {"control": SKIPPED}),
        batch(RESULT | {"candidate": FAILED}),
        batch(RESULT | {"account": "ann@example.com"}),
        batch(RESULT | {"control": GOOD | {"durationUs": -1}}),
        batch(RESULT | {"control": GOOD | {"durationUs": 1.5}}),
        batch(RESULT | {"control": GOOD | {"durationUs": 1e400}}),
        batch(RESULT | {"control": GOOD | {"durationUs": "9"}}),
        batch(RESULT | {"equal": "yes"}),
        batch(RESULT | {"environment": "production"}),
        batch(RESULT | {"cohorts": {"account": ANN}}),
        batch(RESULT | {"cohorts": {FAILED_BEFORE: ""}}),
        batch(RESULT | {"cohorts": {"": "NO"}}),
        batch(RESULT | {"cohorts": {"c" * 33: "NO"}}),
        batch(RESULT | {"cohorts": {"country": "N" * 65}}),
        batch(RESULT | {"cohorts": {"country": 7}}),
        batch(RESULT | {"cohorts": {"country": None}}),
        batch(RESULT | {"cohorts": {str(number): "" for number in range(9)}}),
        batch(RESULT | {"cohorts": ["NO"]}),
        batch(lost={"candidate": -1}),
        batch(*[RESULT] * 1001),
        {"results": [RESULT]},
        [],
        7,
    ],
)
def test_forged_results_are_refused_and_leave_nothing(app: Flask, post: Post, body: object) -> None:
    response = post(body)
    assert response.status_code in (400, 422)
    assert response.content_type == "application/problem+json"
    assert counted(app) == {}
    assert post().get_json()["counted"] is True, "its name is still free"


def test_nan_is_no_duration(app: Flask, post: Post) -> None:
    text = json.dumps(BATCH).replace("900", "NaN")
    response = post(json=None, data=text, content_type="application/json")
    assert response.status_code in (400, 422)
    assert counted(app) == {}


def test_a_flag_without_a_declared_migration_and_the_credits_are_nobodys_to_report(app: Flask, post: Post) -> None:
    unknown = post(flag="OTHER")
    assert (unknown.status_code, unknown.get_json()["code"]) == (404, "UNKNOWN_MIGRATION")
    ours = post(flag=CREDITS_FLAG)
    assert (ours.status_code, ours.get_json()["code"]) == (422, "RESERVED_SIGNAL")
    assert counted(app) == {}


def test_a_flood_is_told_when_to_come_back(app: Flask, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments_api, "RESULTS", parse("3/minute"))
    assert [post(batch(RESULT, batchId=f"prices-{number}")).status_code for number in range(3)] == [202] * 3
    refused = post(batch(RESULT, batchId="prices-3"))
    assert (refused.status_code, refused.get_json()["code"]) == (429, "TOO_MANY_RESULTS")
    assert int(refused.headers["Retry-After"]) > 0
    assert counted(app)[SeriesKey("price_routed", "tiered")] == Counts(0, 3)


def test_the_guards_own_threshold_says_what_is_slow(app: Flask, post: Post) -> None:
    with app.app_context():
        signals.set_bounds({"price_slow": 0.0005})
    post()
    assert counted(app)[SeriesKey("price_slow", "tiered")] == Counts(1, 1)


def test_only_services_report(app: Flask, post: Post, make_token: Callable[..., str]) -> None:
    path = f"/api/experiments/{FLAG}/results"
    assert app.test_client().post(path, json=BATCH).status_code == 401
    for kind, environment in (("client", "production"), ("frontend", "production"), ("service", "staging")):
        headers = {"Authorization": f"Bearer {make_token(kind, environment=environment)}"}
        assert app.test_client().post(path, json=BATCH, headers=headers).status_code == 403
    assert counted(app) == {}


def test_services_see_what_they_may_report(app: Flask, client: FlaskClient, post: Post, service_token: str) -> None:
    headers = {"Authorization": f"Bearer {service_token}"}
    (found,) = client.get("/api/experiments", headers=headers).get_json()["experiments"]
    assert (found["flag"], found["control"], found["candidate"]) == (FLAG, "list", "tiered")
    assert "price_difference" in found["signals"]
    refused = client.post(
        "/api/signals",
        json={"batchId": "meter-0001", "signals": [{"name": "price_difference", "bad": 1, "total": 1}]},
        headers=headers,
    )
    assert refused.get_json()["code"] == "RESERVED_SIGNAL", "no plain count gets past the pairs"
