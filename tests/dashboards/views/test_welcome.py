"""What a new installation says on its first page: three steps, each ticked by what is stored."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts.drill.flag import FLAG as DRILL
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import account_store, tokens
from flags.administration.definitions import create_flag
from tests.dashboards.browsing import page_text, write_session

SignIn = Callable[[str], FlaskClient]
TITLE = "Welcome: three steps to the first rollout"
NOW = datetime.now(UTC)


def ticked(browser: FlaskClient) -> list[str]:
    """Return the titles of the steps that are done."""
    steps = browser.get("/").text.split('<li class="welcome-step ')[1:]
    return [page_text(step.partition("<h3>")[2].partition("<")[0]) for step in steps if step.startswith("tone-good")]


def make_token(app: Flask, *, kind: str = "client", used: bool = False, revoked: bool = False) -> None:
    with write_session(app) as session:
        tokens.create_token(session, tokens.NewToken("shop", kind, environment="production"), now=NOW, actor="alice")
        newest = max(account_store.tokens(session), key=lambda token: token.id)
        if used:
            account_store.touch_last_seen(session, {newest.id: NOW})
        if revoked:
            account_store.revoke(session, newest.id, NOW)


def test_an_empty_installation_says_what_to_do_in_three_steps(sign_in: SignIn) -> None:
    page = sign_in("alice").get("/")
    text = page_text(page.text)
    assert TITLE in text
    assert "0 of 3 done" in text
    assert "http://localhost/api/client/features" in text
    assert 'href="/new-rollout"' in page.text
    assert ticked(sign_in("alice")) == []


def test_a_drill_that_is_over_is_no_rollout_and_ends_no_welcome(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    """It is what the first checklist asks for, and left a rollout in red above those that people have."""
    context = ChangeContext(NOW, "guard", "A drill.")
    with write_session(app) as session:
        rollouts.plan(session, DRILL, default_plan(NOW), context)
    assert DRILL in sign_in("alice").get("/").text
    with write_session(app) as session:
        rollouts.roll_back(session, DRILL, context)
    for path in ("/", "/alerts"):
        assert DRILL not in sign_in("alice").get(path).text
    assert TITLE in page_text(sign_in("alice").get("/").text)


def test_who_may_not_do_a_step_is_told_who_may(sign_in: SignIn) -> None:
    page = sign_in("victor").get("/")
    assert "An admin makes one on the page of people." in page_text(page.text)
    assert 'href="/new-rollout"' not in page.text


def test_each_step_is_ticked_by_what_is_stored(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    alice = sign_in("alice")
    assert ticked(alice) == ["1. A flag and its plan"]
    assert f"{FLAG} has a plan and waits at its first step" in page_text(alice.get("/").text)
    make_token(app, kind="admin", used=True)
    assert len(ticked(alice)) == 1
    make_token(app, revoked=True)
    assert len(ticked(alice)) == 1
    make_token(app)
    assert ticked(alice)[1:] == ["2. A token for your service"]
    make_token(app, used=True)
    assert ticked(alice)[2:] == ["3. Your service asks for its flags"]
    assert "3 of 3 done" in page_text(alice.get("/").text)


def test_a_flag_without_a_rollout_counts_and_then_the_last_step_ends_the_welcome(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    with write_session(app) as session:
        create_flag(session, "till", {"production": False}, ChangeContext(NOW, "alice"))
    assert ticked(alice) == ["1. A flag and its plan"]
    make_token(app, used=True)
    assert TITLE not in alice.get("/").text


@pytest.mark.parametrize("move", [rollouts.hold, rollouts.roll_back])
def test_a_rollout_that_was_moved_ends_the_welcome(
    app: Flask, sign_in: SignIn, planned: Rollout, move: Callable[..., object]
) -> None:
    with write_session(app) as session:
        move(session, FLAG, ChangeContext(NOW, "alice", "A test."))
    assert TITLE not in sign_in("alice").get("/").text
