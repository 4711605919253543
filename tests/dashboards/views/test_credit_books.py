"""The credits of a user: both books, the journal, and where the engines differ."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from dashboards.view_models import credits as screens
from dashboards.view_models.credits import KindView
from flags.store.directory import UserAttributes, upsert_users
from tests.dashboards.browsing import page_text, read_session, write_session

HTML = {"Accept": "text/html"}

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def consumed(app: Flask) -> int:
    """Return how often u-1 consumed; v2 and legacy disagree about the last roast: starters have ten or a hundred."""
    now = datetime.now(UTC)
    known = [UserAttributes("u-1", "starter", now - timedelta(days=9)), UserAttributes("u-2", "nonsense")]
    with write_session(app) as session:
        upsert_users(session, known, now=now)
    with app.app_context():
        for number in range(40):
            amounts = Amounts(roast=1) if number < 11 else Amounts(analysis=5)
            run_operation(Operation("u-1", f"key-{number}", amounts, "tests"), now=now)
    return 40


def test_both_books_stand_side_by_side_and_one_serves(sign_in: SignIn, consumed: int) -> None:
    page = page_text(sign_in("alice").get("/credits?user=u-1").get_data(as_text=True))
    assert "u-1 on plan starter" in page
    assert "legacy Serves Analysis 145 of 1 000 855 left. Roast 11 of 100 89 left." in page
    assert "v2 Shadow Analysis 145 of 1 000 855 left. Roast 11 of 10 1 over the limit." in page


def test_the_journal_continues_without_a_gap(app: Flask, consumed: int) -> None:
    seen: list[int] = []
    before: int | None = None
    with read_session(app) as session:
        while True:
            screen = screens.read(session, "u-1", before=before, now=datetime.now(UTC))
            seen += [entry.id for entry in screen.entries]
            if (before := screen.older) is None:
                break
    assert len(seen) == len(set(seen)) == consumed
    assert seen == sorted(seen, reverse=True)


def test_operations_on_which_the_engines_differ_are_listed_with_both_answers(sign_in: SignIn, consumed: int) -> None:
    page = page_text(sign_in("alice").get("/credits").get_data(as_text=True))
    assert "Differs by policy The limits of the plan differ." in page
    assert "v2 would charge no credits Legacy would charge 1 roast credit" in page


def test_without_any_difference_it_says_so(sign_in: SignIn) -> None:
    assert "They never differed" in page_text(sign_in("alice").get("/credits").get_data(as_text=True))


def test_credits_are_given_back_in_both_books(sign_in: SignIn, consumed: int) -> None:
    page = send(sign_in("alice"), "adjust", analysis=45, roast=-1, reason="Charged twice.")
    assert "Adjusted in both books." in page
    assert "legacy Serves Analysis 100 of 1 000 900 left. Roast 12 of 100 88 left." in page
    assert "Adjust : v2 moved by -45 analysis credits and 1 roast credit" in page
    assert "Charged twice. No." in page


def test_a_form_that_is_sent_twice_adjusts_once(sign_in: SignIn, consumed: int) -> None:
    browser = sign_in("alice")
    for _ in range(2):
        page = send(browser, "adjust", analysis=45, reason="Charged twice.", key="page:once")
    assert "legacy Serves Analysis 100 of 1 000" in page


@pytest.mark.database("sqlite")
def test_a_reset_leaves_nothing_used(sign_in: SignIn, consumed: int) -> None:
    page = send(sign_in("alice"), "reset", reason="Agreed with support.")
    assert "Analysis 0 of 1 000 1 000 left. Roast 0 of 100 100 left." in page


@pytest.mark.database("sqlite")
def test_freezing_and_letting_consume_again(sign_in: SignIn, consumed: int) -> None:
    browser = sign_in("alice")
    assert "Frozen Under investigation." in send(browser, "freeze", reason="Under investigation.")
    assert "Frozen Under investigation." not in send(browser, "unfreeze", reason="Settled.")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    "form",
    [
        {"analysis": 5, "reason": " "},
        {"reason": "Nothing to do."},
        {"analysis": "many", "reason": "No number."},
        {"analysis": 10**9, "reason": "Too much."},
        {"analysis": 146, "reason": "More than is used."},
        {"analysis": 5, "reason": "A stranger.", "user": "nobody"},
    ],
    ids=lambda form: form["reason"],
)
def test_what_can_not_be_corrected_changes_nothing(sign_in: SignIn, consumed: int, form: dict[str, object]) -> None:
    browser = sign_in("alice")
    assert "Nothing was changed." in send(browser, "adjust", **form)
    kept = browser.post("/credits/adjust", data={"user": "u-1", "form": "correct"} | form).get_data(as_text=True)
    assert f'value="{form["reason"]}"' in kept or form.get("user") == "nobody"
    assert "Analysis 145 of 1 000" in page_text(browser.get("/credits?user=u-1").get_data(as_text=True))


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("name", ["olga", "victor"])
def test_credits_are_for_owners(sign_in: SignIn, consumed: int, name: str) -> None:
    browser = sign_in(name)
    assert browser.get("/credits?user=u-1", headers=HTML).status_code == 403
    assert browser.post("/credits/reset", data={"user": "u-1", "reason": "Why."}, headers=HTML).status_code == 403


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("user", "sentence"),
    [("nobody", "The directory has no user 'nobody'"), ("u-2", "Plan 'nonsense' is not in the catalogue")],
)
def test_what_can_not_be_shown_is_said(sign_in: SignIn, consumed: int, user: str, sentence: str) -> None:
    answer = sign_in("alice").get(f"/credits?user={user}")
    assert answer.status_code == 200
    assert sentence in page_text(answer.get_data(as_text=True))


@pytest.mark.parametrize(
    ("used", "limit", "tone", "share"),
    [
        (74, 100, "good", 0.74),
        (75, 100, "caution", 0.75),
        (90, 100, "bad", 0.9),
        (120, 100, "bad", 1.0),
        (0, 0, "bad", 1.0),
        (5, None, "good", 0.0),
    ],
)
def test_a_meter_turns_urgent_as_it_fills(used: int, limit: int | None, tone: str, share: float) -> None:
    kind = KindView("analysis", used, limit)
    assert (kind.tone, kind.share) == (tone, share)


def send(browser: FlaskClient, verb: str, **form: object) -> str:
    """Send a correction, and read the page that follows, or the form again where it was refused."""
    answer = browser.post(f"/credits/{verb}", data={"user": "u-1"} | form, follow_redirects=True)
    assert answer.status_code in {200, 422}
    return page_text(answer.get_data(as_text=True))
