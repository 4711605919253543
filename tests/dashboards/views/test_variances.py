"""Where the engines differed, by cause, and one operation with both decisions side by side."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from credits_engine.engines.amounts import Amounts, Kind
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.store import journal
from credits_engine.store.journal import Filters
from dashboards.filters import moments
from dashboards.view_models import variances as screens
from flags.store.directory import UserAttributes, upsert_users
from tests import statements
from tests.dashboards.browsing import page_text, read_session, write_session

HTML = {"Accept": "text/html"}
NOW = datetime.now(UTC)
QUERIES_MAX = 12

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def consumed(app: Flask) -> None:
    """Starters and a free user took more roasts than v2 grants and fewer than legacy does."""
    now = datetime.now(UTC)  # not that of the module: the page says how long ago it was
    known = [
        UserAttributes("u-1", "starter", now - timedelta(days=90)),
        UserAttributes("=u-2", "starter", now - timedelta(days=90)),
        UserAttributes("u-3", "free", now - timedelta(days=90)),
    ]
    with write_session(app) as session:
        upsert_users(session, known, now=now)
    with app.app_context():
        for number, (user, at) in enumerate([("u-1", 2), ("=u-2", 0), ("u-3", 0)]):
            when = now - timedelta(days=at)
            run_operation(Operation(user, f"first-{number}", Amounts(analysis=1), "tests"), now=when)
            run_operation(Operation(user, f"over-{number}", Amounts(roast=11), "tests"), now=when)


def test_variances_are_grouped_by_cause_plan_and_kind(sign_in: SignIn) -> None:
    page = sign_in("alice").get("/credits/variances").text
    text = page_text(page)
    assert "3 operations" in text
    assert "Differs by policy The limits of the plan differ. starter roast 2 2 2 d ago just now" in text
    assert "Differs by policy The limits of the plan differ. free roast 1 1 just now just now" in text
    assert "u-1 · Consume 11 roast , charged 0" not in text
    assert 'href="/credits/variances?class=policy&amp;cause=policy:limit_table&amp;plan=starter' in page


def test_credits_and_the_page_of_the_rollout_lead_there(sign_in: SignIn, planned: Rollout) -> None:
    alice = sign_in("alice")
    for path in ("/credits", f"/rollouts/{planned.flag}"):
        assert 'href="/credits/variances"' in alice.get(path).text
    assert "/credits/variances" not in sign_in("olga").get(f"/rollouts/{planned.flag}").text


def test_a_group_leads_to_its_operations_and_no_others(sign_in: SignIn) -> None:
    path = "/credits/variances?class=policy&cause=policy:limit_table&plan=free&creditType=roast"
    text = page_text(sign_in("alice").get(path).text)
    assert "Of one cause on plan free alone." in text
    assert "u-3 ·" in text
    assert "u-1 ·" not in text


@pytest.mark.parametrize(
    ("query", "users"),
    [
        ("userId=u-1", {"u-1"}),
        (f"startDate={(NOW - timedelta(days=1)).date()}", {"=u-2", "u-3"}),
        (f"endDate={(NOW - timedelta(days=1)).date()}", {"u-1"}),
        ("creditType=analysis", set()),
        ("class=defect", set()),
        ("plan=nonsense", set()),
        ("endDate=9999-12-31&startDate=0001-01-01", {"u-1", "=u-2", "u-3"}),
    ],
)
def test_a_filter_shows_what_fits(sign_in: SignIn, query: str, users: set[str]) -> None:
    text = page_text(sign_in("alice").get(f"/credits/variances?{query}").text)
    assert {user for user in ("u-1", "=u-2", "u-3") if f"{user} ·" in text} == users
    assert ("No operation fits this filter." in text) is (not users)


@pytest.mark.parametrize("query", ["class=strange", "creditType=gold", "startDate=monday", "endDate=2026-13-01"])
def test_a_filter_that_can_not_be_read_is_said(sign_in: SignIn, query: str) -> None:
    text = page_text(sign_in("alice").get(f"/credits/variances?{query}").text)
    assert "The filter can't be used, so everything is shown." in text
    assert "3 operations" in text


def test_the_file_has_the_filter_of_the_page_and_no_formula(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    page = alice.get("/credits/variances?plan=starter&creditType=roast").text
    path = "/api/admin/credits/variances?format=csv&plan=starter&creditType=roast"
    assert path.replace("&", "&amp;") in page
    sheet = alice.get(path).text
    assert "'=u-2" in sheet
    assert "u-3" not in sheet


def test_the_operations_continue_without_a_gap(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "PAGE_OPERATIONS", 2)
    alice = sign_in("alice")
    first = alice.get("/credits/variances").text
    rest = alice.get(
        first.split("/credits/variances?before=")[1].split('"')[0].join(["/credits/variances?before=", ""])
    )
    assert "u-1 ·" not in page_text(first)
    assert "u-1 ·" in page_text(rest.text)
    assert "Older operations" not in page_text(rest.text)


def test_a_long_journal_is_grouped_as_far_as_is_said(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "GROUPED_MAX", 2)
    text = page_text(sign_in("alice").get("/credits/variances").text)
    assert "The latest 2; filter by date to see older ones" in text
    assert "starter roast 1 1" in text


def test_an_operation_shows_both_decisions_and_the_row(app: Flask, sign_in: SignIn) -> None:
    with read_session(app) as session:
        row = journal.variances(session, Filters(user_id="u-3"), limit=1).rows[0]
    text = page_text(sign_in("alice").get(f"/credits/operations/{row['id']}").text)
    assert "u-3: 11 roast" in text
    assert "The limits of the plan differ." in text
    legacy, v2 = text.split("legacy Serves")[1].split("v2 Shadow")
    assert "Answer" in legacy
    assert moments(row["reason"]) in legacy
    assert moments(row["shadow_reason"]) in v2
    assert "T00:00:00Z" not in v2.partition("The journal's row")[0]
    assert "over-2" in v2


def test_an_operation_on_which_they_agree_and_a_correction_are_shown_too(app: Flask, sign_in: SignIn) -> None:
    with read_session(app) as session:
        found = {row["variance"]: row["id"] for row in journal.entries(session, Filters(), limit=99).rows}
    alice = sign_in("alice")
    assert "Both engines gave the same answer." in page_text(alice.get(f"/credits/operations/{found['match']}").text)
    alice.post("/credits/freeze", data={"user": "u-1", "reason": "Looks <b>odd</b>."})
    with read_session(app) as session:
        newest = journal.entries(session, Filters(user_id="u-1"), limit=1).rows[0]["id"]
    text = alice.get(f"/credits/operations/{newest}").text
    assert "Looks &lt;b&gt;odd&lt;/b&gt;." in text


def test_what_packs_pay_stands_beside_the_plan(app: Flask, sign_in: SignIn) -> None:
    kind = screens.KindDecision(Kind("roast"), used=8, limit=10, charged=5)
    assert (kind.from_plan, kind.from_packs) == (2, 3)
    assert screens.KindDecision(Kind("roast"), used=80, limit=10, charged=5).from_packs == 5
    assert screens.KindDecision(Kind("roast"), used=80, limit=None, charged=5).from_packs == 0


def test_the_pages_read_a_bounded_number_of_times(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    for path in ("/credits/variances", "/credits/operations/1"):
        with app.app_context(), statements.noted() as sent:
            assert alice.get(path).status_code == 200
        assert len(sent) <= QUERIES_MAX, (path, len(sent))


def test_they_are_for_owners_and_an_unknown_number_is_said(sign_in: SignIn) -> None:
    assert sign_in("alice").get("/credits/operations/999999", headers=HTML).status_code == 404
    olga = sign_in("olga")
    assert olga.get("/credits/variances", headers=HTML).status_code == 403
    assert olga.get("/credits/operations/1", headers=HTML).status_code == 403
