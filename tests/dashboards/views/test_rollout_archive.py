"""The end of a rollout from its page: archived, revived, deleted, and that of one environment given back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan, Rollout, RolloutState, positions
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import accounts
from control_plane.platform.identity_types import Grant, Person, Role
from control_plane.rollouts import store
from tests.dashboards.browsing import page_text, write_session

pytestmark = pytest.mark.database("sqlite")

PAGE = f"/rollouts/{FLAG}"
HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}

SignIn = Callable[[str], FlaskClient]
Standing = Callable[[], Rollout]


def send(client: FlaskClient, address: str, **form: str | int) -> str:
    return page_text(
        client.post(address, data={"reason": "It is over.", **form}, headers=HTML, follow_redirects=True).text
    )


@pytest.fixture
def complete(app: Flask, planned: Rollout) -> Rollout:
    now = datetime.now(UTC)
    last = positions(planned.plan)[-1]
    after = replace(planned, version=2, state=RolloutState.COMPLETE, position=last, completed_at=now)
    with write_session(app) as session:
        assert store.compare_and_set(session, after, expected_version=1)
    return after


def test_a_complete_flag_is_archived_once_its_loss_is_confirmed_revived_and_deleted(
    sign_in: SignIn, complete: Rollout, current_rollout: Standing
) -> None:
    alice = sign_in("alice")
    assert f'href="{PAGE}/archive"' in alice.get(PAGE).text
    assert "Everybody who has the flag loses it" in page_text(alice.get(f"{PAGE}/archive").text)
    asked = alice.post(f"{PAGE}/archive", data={"reason": "Its switch is gone.", "version": 2}, headers=HTML)
    assert asked.status_code == 409
    assert 'name="confirm_losing"' in asked.text
    assert "Its switch is gone." in asked.text, "what was written is kept"
    assert not current_rollout().archived
    page = send(alice, f"{PAGE}/archive", version=2, confirm_losing="on")
    assert "nobody has it, and no SDK gets it." in page
    assert "Archived. In force after" in page
    assert "Rolled back" not in page.split("Latest changes")[0]
    assert current_rollout().archived
    assert "Revived. It is off until re-armed." in send(alice, f"{PAGE}/revive", version=3)
    assert not current_rollout().archived
    send(alice, f"{PAGE}/archive", version=4)
    assert "Deleted." in send(alice, f"{PAGE}/delete", version=5)
    assert alice.get(PAGE).status_code == 404


def test_a_complete_rollout_that_is_held_says_that_it_is_done_and_held(
    app: Flask, sign_in: SignIn, complete: Rollout
) -> None:
    with write_session(app) as session:
        rollouts.hold(session, FLAG, ChangeContext(datetime.now(UTC), "olga", "Support asked."))
    alice = sign_in("alice")
    page = page_text(alice.get(PAGE).text)
    assert "Every phase is done." in page
    assert "It is held: resume it first." in page
    assert "Complete the rollout" not in page
    refused = send(alice, f"{PAGE}/archive", version=complete.version + 1, confirm_losing="on")
    assert "The rollout is complete, and held; resume it first." in refused


def test_what_is_under_way_offers_no_end(sign_in: SignIn, planned: Rollout, current_rollout: Standing) -> None:
    alice = sign_in("alice")
    page = alice.get(PAGE).text
    assert not [verb for verb in ("archive", "revive", "delete") if f"{PAGE}/{verb}" in page]
    assert "The rollout is running; complete it or roll it back first." in send(alice, f"{PAGE}/archive", version=1)
    assert current_rollout() == planned


@pytest.mark.usefixtures("complete")
def test_the_end_takes_an_owner(sign_in: SignIn, current_rollout: Standing) -> None:
    olga = sign_in("olga")
    assert f"{PAGE}/archive" not in olga.get(PAGE).text
    refused = olga.post(f"{PAGE}/archive", data={"reason": "x", "version": 2, "confirm_losing": "on"}, headers=HTML)
    assert refused.status_code == 403
    assert not current_rollout().archived


def test_the_rollout_of_one_environment_is_given_back_once_who_loses_by_it_is_confirmed(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person], planned: Rollout
) -> None:
    now, name = datetime.now(UTC), f"{FLAG}@qa"
    phase = Phase("all", "All", "everyone", (100,), timedelta(0))
    with write_session(app) as session:
        plan = Plan((phase,), now, environment="qa")
        made = rollouts.plan(session, name, plan, ChangeContext(now, "alice", "QA first."))
        assert not hasattr(made, "reasons"), made
        grants = [Grant(Role.OWNER, environment="qa")]
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=now, actor="tests")
    alice, own = sign_in("alice"), f"/rollouts/{name}"
    assert f'href="{own}/delete"' in alice.get(own).text
    assert f"{own}/delete" not in sign_in("victor").get(own).text, "who owns qa alone gives nothing to the flag's own"
    asked = alice.post(f"{own}/delete", data={"reason": "Done.", "version": 1}, headers=HTML)
    assert asked.status_code == 409
    assert 'name="confirm_losing"' in asked.text
    page = send(alice, f"{own}/delete", version=1, confirm_losing="on")
    assert f"The rollout of {FLAG} decides in qa again." in page
    assert alice.get(own).status_code == 404
