"""A flag without alerts and without traffic of its own proves nothing by the credits' figures, wherever it is shown."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts import gates
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateStatus
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.rollouts import blast_radius
from control_plane.rollouts.blast_radius import BlastRadius
from tests.dashboards.browsing import page_text

OTHER = "FEATURE_07"


@pytest.fixture(autouse=True)
def beside_traffic(app: Flask) -> Iterator[None]:
    """A rollout of another flag, and an hour in which v2 answered hundreds of operations of the credits well."""
    began = datetime.now(UTC) - timedelta(days=30)
    with app.app_context():
        with transaction() as session:
            for flag in (FLAG, OTHER):
                rollouts.plan(session, flag, default_plan(began), ChangeContext(began, "alice", "A test."))
        for engine, role in (("v2", "served"), ("legacy", "shadow")):
            for _ in range(777):
                signals.record(Sample("credit_consumption_failure", False, engine, role))
        run_guard(datetime.now(UTC), 1)
        yield


def test_no_gate_of_the_guards_is_open(app: Flask) -> None:
    with read_only() as session:
        rollout = rollouts.find(session, OTHER)
        found = {each.name: each for each in rollouts.gates(session, rollout, datetime.now(UTC))}
        firing = gates.firing(session, rollout, datetime.now(UTC))
    asked = [found[name] for name in ("guardrails", "safety", "served")]
    assert {each.status for each in (*asked, firing)} == {GateStatus.UNKNOWN}
    assert all(OTHER in each.reason for each in (*asked, firing))
    assert found["migration"].reason == "This flag decides about nobody's credits."


def test_an_owner_has_to_approve_without_proof(app: Flask) -> None:
    with transaction() as session:
        version = rollouts.find(session, OTHER).version
        now = datetime.now(UTC)
        decision = rollouts.advance(session, OTHER, ChangeContext(now, "alice"), expected_version=version)
    assert "safety" in str(decision)


def test_pages_and_answers_show_no_figures_of_the_credits(sign_in: Callable[[str], FlaskClient]) -> None:
    browser = sign_in("victor")
    page = page_text(browser.get(f"/rollouts/{OTHER}").get_data(as_text=True))
    assert "no traffic of this flag was reported" in page
    assert "Nothing guards this flag" in page
    assert "777" not in page
    assert "The guard watches" not in page
    assert "777" in page_text(browser.get(f"/rollouts/{FLAG}").get_data(as_text=True))
    for path in ("/", f"/api/rollouts/{OTHER}", f"/api/rollouts/{OTHER}/gates", f"/explain?flag={OTHER}&user=u1"):
        assert "below every threshold" not in browser.get(path).get_data(as_text=True)


def test_what_v2_served_uses_up_no_cap_of_another_flag(app: Flask) -> None:
    blast_radius.register_impact_query(FLAG, lambda _session, _since: BlastRadius(users=9))
    with read_only() as session:
        now = datetime.now(UTC)
        assert blast_radius.current_impact(session, OTHER, now) == BlastRadius()
        assert blast_radius.current_impact(session, FLAG, now) == BlastRadius(users=9)


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Rolled back: the old version serves everybody in production."),
        ("es", "la versión anterior atiende a todos en producción"),
    ],
)
def test_pages_name_neither_engine_of_the_credits(
    sign_in: Callable[[str], FlaskClient], language: str, said: str
) -> None:
    browser, headers = sign_in("alice"), {"Accept-Language": language}
    for verb in ("hold", "rollback"):
        page = browser.get(f"/rollouts/{OTHER}/{verb}", headers=headers).text
        asked = page_text(page[page.index("<main") :])
        assert not re.search(r"engine|motor|credit|crédito", asked, re.IGNORECASE), asked
    rollback = {"reason": "Broken."}
    page = browser.post(f"/rollouts/{OTHER}/rollback", data=rollback, headers=headers, follow_redirects=True).text
    assert said in page_text(page)
    for path in (f"/rollouts/{OTHER}", f"/rollouts/{OTHER}/rearm", f"/rollouts/{OTHER}/rollback"):
        assert not re.search(r"\b(legacy|v2)\b", page_text(browser.get(path, headers=headers).text), re.IGNORECASE)
