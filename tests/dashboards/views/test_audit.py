"""The audit trail as people read it: filtered, paged, and marked whole or broken."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit_search import AuditFilter
from control_plane.platform.models import AuditEntryRow
from dashboards.view_models import audit as screens
from dashboards.view_models.audit import VALID, ChainCheck
from tests import tampering
from tests.dashboards.browsing import page_text, read_session, write_session

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def written(app: Flask) -> int:
    """Write more entries into the trail than one page holds; return their number."""
    with write_session(app) as session:
        for number in range(60):
            audit.record(
                session,
                ChangeContext(datetime.now(UTC), "olga" if number % 2 else "guard", f"Reason {number}."),
                action="rollout.hold",
                subject=f"rollout:{FLAG}",
                before={"state": "running", "entered_at": "2026-03-02T09:30:00+00:00"},
                after={"state": "held", "entered_at": "2026-03-03T09:30:00+00:00"},
            )
    return 60


def test_an_entry_says_who_what_before_after_and_why(sign_in: SignIn, written: int) -> None:
    page = page_text(sign_in("victor").get("/audit").get_data(as_text=True))
    assert f"olga on rollout:{FLAG} Reason 59." in page
    assert "State Running → Held" in page
    assert "Entered at 2 Mar 2026, 09:30 UTC → 3 Mar 2026, 09:30 UTC" in page
    assert "Chain verified 60 entries" in page


def test_pages_follow_each_other_without_a_gap(app: Flask, written: int) -> None:
    seen: list[int] = []
    before: int | None = None
    with read_session(app) as session:
        while True:
            screen = screens.read(session, ChainCheck(), AuditFilter(), before=before, now=datetime.now(UTC))
            seen += [entry.id for entry in screen.entries]
            if (before := screen.older) is None:
                break
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == len(seen) == written


def test_filters_narrow_by_person_and_by_subject(app: Flask, written: int, planned: Rollout) -> None:
    with read_session(app) as session:
        screen = screens.read(
            session,
            ChainCheck(),
            AuditFilter(subject=f"rollout:{FLAG}", actor="guard"),
            before=None,
            now=datetime.now(UTC),
        )
    assert {entry.actor for entry in screen.entries} == {"guard"}
    assert set(screen.actors) == {"guard", "olga", "system"}


def test_a_changed_entry_breaks_the_chain_in_plain_sight(app: Flask, sign_in: SignIn, written: int) -> None:
    with app.app_context():
        tampering.allow()
    with write_session(app) as session:
        session.execute(update(AuditEntryRow).where(AuditEntryRow.id == 7).values(reason="Never said."))
    page = page_text(sign_in("victor").get("/audit").get_data(as_text=True))
    assert "Chain broken" in page
    assert "Entry 7 does not fit the one before it" in page


def test_the_whole_chain_is_not_read_for_every_look(app: Flask, written: int) -> None:
    check, now = ChainCheck(), datetime.now(UTC)
    with read_session(app) as session:
        assert check.current(session, now) == check.current(session, now + VALID / 2)
        assert check.current(session, now + VALID)[1] == now + VALID


def test_an_empty_answer_leads_back_to_everything(sign_in: SignIn, written: int) -> None:
    page = page_text(sign_in("victor").get("/audit?actor=nobody").get_data(as_text=True))
    assert "No entry fits this filter." in page


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=99999999999999999999", "subject=%27%22"])
def test_odd_addresses_are_no_error(sign_in: SignIn, query: str) -> None:
    assert sign_in("victor").get(f"/audit?{query}").status_code == 200


def test_stored_values_are_read_as_people_write_them(app: Flask, sign_in: SignIn) -> None:
    before = {"soak": "P7D", "flags": []}
    after = {"soak": "PT15S", "flags": ["a"], "since": "2026-11-29T20:10:12.762994+00:00", "limits": {"of": "PT2H"}}
    with write_session(app) as session:
        now = datetime.now(UTC)
        reason = "credit_variance: bad were 15 of 2,935 (0.511%) in the last 5m."
        for actor in ("guard", "olga"):
            change = ChangeContext(now, actor, reason)
            audit.record(session, change, action="rollout.edit_plan", subject="rollout:X", before=before, after=after)
    page = page_text(sign_in("victor").get("/audit?subject=rollout:X").text)
    assert "Credit variance: bad were 15 of 2 935 (0.511 %) in the last 5 min." in page
    assert reason in page  # a person's, as it was written
    assert "Since 29 Nov 2026, 20:10 UTC" in page
    assert "limits.of 2 h" in page
    assert "flags.1 a" in page
