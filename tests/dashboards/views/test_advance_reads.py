"""Pages and advances read what the leader found: they never go through the directory or the journal."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from credits_engine.migration import advance_check_job
from flags.store import UserAttributes, upsert_users
from tests.dashboards.browsing import write_session
from tests.statements import Sent, noted

SignIn = Callable[[str], FlaskClient]
LARGE = ("directory_user", "credit_journal", "usage_counters", "legacy_book", "operation_key")
REASON = "Reviewed by hand."


@pytest.fixture
def soaked(app: Flask) -> Rollout:
    """The guide's rollout at the end of its first soak, with users who would enter."""
    planned_at = datetime.now(UTC) - timedelta(days=8)
    members = [UserAttributes(f"u{number}", "free", planned_at, beta=True) for number in range(3)]
    with write_session(app) as session:
        upsert_users(session, members, now=planned_at)
        rollouts.plan(session, FLAG, default_plan(planned_at), ChangeContext(planned_at, "system", "The guide."))
        return rollouts.find(session, FLAG)


def on_large_tables(sent: list[Sent]) -> list[str]:
    return [statement for statement, _ in sent if any(table in statement for table in LARGE)]


@pytest.mark.parametrize("examined", [False, True])
@pytest.mark.parametrize("path", ["/", f"/rollouts/{FLAG}", f"/rollouts/{FLAG}/advance", f"/api/rollouts/{FLAG}"])
def test_no_page_reads_them(app: Flask, sign_in: SignIn, soaked: Rollout, path: str, *, examined: bool) -> None:
    browser = sign_in("alice")
    with app.app_context():
        if examined:
            advance_check_job.refresh(datetime.now(UTC))
        with noted() as sent:
            page = browser.get(path)
    assert page.status_code == 200
    assert on_large_tables(sent) == []


@pytest.mark.parametrize("examined", [False, True])
def test_no_advance_reads_them(app: Flask, sign_in: SignIn, soaked: Rollout, *, examined: bool) -> None:
    browser = sign_in("alice")
    with app.app_context():
        if examined:
            advance_check_job.refresh(datetime.now(UTC))
        with noted() as sent:
            browser.post(f"/rollouts/{FLAG}/advance", data={"version": soaked.version, "reason": REASON})
        assert any("credit_readiness" in statement for statement, _ in sent)
    assert on_large_tables(sent) == []


def test_an_advance_that_nobody_examined_waits_for_the_leader(app: Flask, sign_in: SignIn, soaked: Rollout) -> None:
    browser = sign_in("alice")
    body = {"expectedVersion": soaked.version}
    refused = browser.post(f"/api/rollouts/{FLAG}/advance", json=body).get_data(as_text=True)
    assert "Gate migration can't tell yet: Nobody has looked yet whom v2 would refuse next" in refused
    with app.app_context():
        advance_check_job.refresh(datetime.now(UTC))
    assert "Gate migration" not in browser.post(f"/api/rollouts/{FLAG}/advance", json=body).get_data(as_text=True)
