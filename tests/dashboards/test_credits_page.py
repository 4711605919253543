"""The credits of a user: both books, the journal, and where the engines differ."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from credits_engine.consumption import Operation
from credits_engine.decisions import Amounts
from credits_engine.serving import serve
from dashboards.screens import credits as screens
from dashboards.screens.credits import KindView
from flags.store.directory import UserAttributes, upsert_users
from tests.dashboards.browsing import changing, looking, words

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def consumed(app: Flask) -> int:
    """How often u-1 consumed; v2 and legacy disagree about the last roast, for starters may have ten or a hundred."""
    now = datetime.now(UTC)
    known = [UserAttributes("u-1", "starter", now - timedelta(days=9)), UserAttributes("u-2", "nonsense")]
    with changing(app) as session:
        upsert_users(session, known, now=now)
    with app.app_context():
        for number in range(40):
            amounts = Amounts(roast=1) if number < 11 else Amounts(analysis=5)
            serve(Operation("u-1", f"key-{number}", amounts, "tests"), now=now)
    return 40


def test_both_books_stand_side_by_side_and_one_serves(sign_in: SignIn, consumed: int) -> None:
    page = words(sign_in("victor").get("/credits?user=u-1").get_data(as_text=True))
    assert "u-1 on plan starter" in page
    assert "legacy Serves Analysis 145 of 1 000 855 left. Roast 11 of 100 89 left." in page
    assert "v2 Shadow Analysis 145 of 1 000 855 left. Roast 11 of 10 1 over the limit." in page


def test_the_journal_continues_without_a_gap(app: Flask, consumed: int) -> None:
    seen: list[int] = []
    before: int | None = None
    with looking(app) as session:
        while True:
            screen = screens.read(session, "u-1", before=before, now=datetime.now(UTC))
            seen += [entry.id for entry in screen.entries]
            if (before := screen.older) is None:
                break
    assert len(seen) == len(set(seen)) == consumed
    assert seen == sorted(seen, reverse=True)


def test_operations_on_which_the_engines_differ_are_listed_with_both_answers(sign_in: SignIn, consumed: int) -> None:
    page = words(sign_in("victor").get("/credits").get_data(as_text=True))
    assert "Differs by policy" in page
    assert "v2 would charge 0 Legacy would charge 1 roast" in page


def test_without_any_difference_it_says_so(sign_in: SignIn) -> None:
    assert "They never did" in words(sign_in("victor").get("/credits").get_data(as_text=True))


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("user", "sentence"),
    [("nobody", "The directory has no user 'nobody'"), ("u-2", "Plan 'nonsense' is not in the catalogue")],
)
def test_what_can_not_be_shown_is_said(sign_in: SignIn, consumed: int, user: str, sentence: str) -> None:
    answer = sign_in("victor").get(f"/credits?user={user}")
    assert answer.status_code == 200
    assert sentence in words(answer.get_data(as_text=True))


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
