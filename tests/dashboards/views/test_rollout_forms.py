"""The forms of one rollout: each does one thing, answers 303, and leaves a message that says what became of it."""

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.rollouts import service
from tests.dashboards.browsing import page_text, read_session

pytestmark = pytest.mark.database("sqlite")

PAGE = f"/rollouts/{FLAG}"
HTML = {"Accept": "text/html"}
OPEN = [GateResult("soak", GateStatus.OPEN, "Over."), GateResult("safety", GateStatus.OPEN, "Shown.")]
UNKNOWN = [GateResult("soak", GateStatus.OPEN, "Over."), GateResult("safety", GateStatus.UNKNOWN, "Too few answers.")]

SignIn = Callable[[str], FlaskClient]
Standing = Callable[[], Rollout]


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[GateResult]], None]:
    """Let the gates say something else."""

    def say(results: list[GateResult]) -> None:
        for module in (rollouts, service):
            monkeypatch.setattr(module, "gates", lambda *_, **__: results)

    return say


def test_advancing_is_refused_with_every_reason(sign_in: SignIn, planned: Rollout, current_rollout: Standing) -> None:
    page = send(sign_in("alice"), "advance", version=7)
    assert "Nothing was changed: it is not possible to advance now." in page
    assert "The rollout has changed since you saw it: version 7 then, 1 now. Look again." in page
    assert "Gate soak is closed" in page
    assert current_rollout() == planned


def test_open_gates_let_an_owner_advance(
    sign_in: SignIn, planned: Rollout, current_rollout: Standing, gates: Callable[..., None]
) -> None:
    gates(OPEN)
    page = send(sign_in("alice"), "advance", version=1)
    assert "Advance to the beta allowlist: done." in page
    assert current_rollout().phase.name == "beta"


def test_gates_that_prove_nothing_take_an_approval(
    sign_in: SignIn, planned: Rollout, current_rollout: Standing, gates: Callable[..., None]
) -> None:
    gates(UNKNOWN)
    browser = sign_in("alice")
    assert "Approve it all the same: why?" in page_text(browser.get(PAGE).get_data(as_text=True))
    assert "Gate safety can't tell yet" in send(browser, "advance", version=1, reason="  ")
    send(browser, "advance", version=1, reason="Reviewed by hand.")
    assert current_rollout().phase.name == "beta"


def test_a_rollback_asks_whether_development_and_staging_lose_it_too(
    sign_in: SignIn, planned: Rollout, current_rollout: Standing
) -> None:
    browser = sign_in("olga")
    form = browser.get(f"{PAGE}/rollback").text
    assert 'name="everywhere" value="on" checked' in form  # nobody in production has it yet
    page = send(browser, "rollback", reason="Errors.")
    assert "Development and staging keep the flag." in page
    assert (current_rollout().latched, current_rollout().latches_all) == (True, False)
    assert 'type="hidden" name="everywhere"' in browser.get(f"{PAGE}/rollback").text
    page = send(browser, "rollback", reason="There too.", everywhere="on")
    assert "Rolled back everywhere" in page
    assert "Roll back everywhere" not in page_text(browser.get(PAGE).text)
    assert current_rollout().latches_all


def test_holding_and_resuming(sign_in: SignIn, planned: Rollout, current_rollout: Standing) -> None:
    browser = sign_in("olga")
    assert "Held. Nobody was added or taken out." in send(browser, "hold", reason="Weekend.")
    assert current_rollout().state is RolloutState.HELD
    assert "Resumed." in send(browser, "resume", reason="Monday.")
    assert current_rollout().state is RolloutState.RUNNING


def test_rolling_back_tells_how_long_it_took(sign_in: SignIn, planned: Rollout, current_rollout: Standing) -> None:
    page = send(sign_in("olga"), "rollback", reason="Wrong balances.")
    assert "Rolled back: legacy serves everybody in production." in page
    assert "In force after" in page
    assert current_rollout().latched
    assert current_rollout().state_reason == "Wrong balances."


def test_whoever_saw_an_older_version_is_asked_again_with_what_they_wrote(
    sign_in: SignIn, planned: Rollout, gates: Callable[..., None]
) -> None:
    gates(UNKNOWN)
    refused = sign_in("alice").post(f"{PAGE}/advance", data={"version": "7", "reason": "Proved <elsewhere>."})
    assert refused.status_code == 409
    assert "Proved &lt;elsewhere&gt;.</textarea>" in refused.text
    assert 'name="version" value="1"' in refused.text
    assert "version 7 then, 1 now. Look again." in page_text(refused.text)


@pytest.mark.parametrize("verb", ["hold", "rollback"])
def test_a_reason_is_required(sign_in: SignIn, planned: Rollout, current_rollout: Standing, verb: str) -> None:
    assert "Say why: a reason is required." in send(sign_in("olga"), verb, reason=" ")
    assert current_rollout() == planned


def test_re_arming_names_the_cool_down(sign_in: SignIn, planned: Rollout) -> None:
    browser = sign_in("alice")
    send(browser, "rollback", reason="Wrong balances.")
    page = send(browser, "rearm", version=2, reason="Fixed.")
    assert "it is not possible to re-arm now." in page
    assert "The cool-down lasts until" in page


def test_the_audit_trail_names_the_person(app: Flask, sign_in: SignIn, planned: Rollout) -> None:
    send(sign_in("olga"), "hold", reason="Weekend.")
    with read_session(app) as session:
        (newest, *_) = audit.latest(session)
    assert (newest.actor, newest.action, newest.reason) == ("olga", "rollout.hold", "Weekend.")


@pytest.mark.parametrize("attempt", ["victor hold operator", "victor rollback operator", "olga advance owner"])
def test_a_role_that_does_not_cover_it_is_told_so(
    sign_in: SignIn, planned: Rollout, current_rollout: Standing, attempt: str
) -> None:
    name, verb, role = attempt.split()
    answer = sign_in(name).post(f"{PAGE}/{verb}", data={"reason": "Why.", "version": 1}, headers=HTML)
    assert answer.status_code == 403
    assert f"This needs the role {role}" in page_text(answer.get_data(as_text=True))
    assert current_rollout() == planned


def test_a_form_from_another_site_changes_nothing(sign_in: SignIn, planned: Rollout, current_rollout: Standing) -> None:
    headers = HTML | {"Sec-Fetch-Site": "cross-site"}
    answer = sign_in("olga").post(f"{PAGE}/rollback", data={"reason": "Why."}, headers=headers)
    assert answer.status_code == 403
    assert current_rollout() == planned


def send(browser: FlaskClient, verb: str, **form: object) -> str:
    """Send a form, and read the page that answers: the rollout's, or that of the form if it is refused."""
    return page_text(browser.post(f"{PAGE}/{verb}", data=form, follow_redirects=True).get_data(as_text=True))
