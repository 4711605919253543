"""Flags without a rollout on pages: listed, read in sentences, switched, edited, marked, restored."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.platform.auth import accounts, audit
from control_plane.platform.identity_types import Grant, Person, Role
from dashboards.view_models import flags as screens
from flags import store
from flags.administration.definitions import create_flag
from flags.administration.edits import edit_definition
from flags.administration.segments import edit_segment
from tests import statements
from tests.dashboards.browsing import page_text, read_session, write_session

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
NOW = datetime.now(UTC)
QUERIES_MAX = 12
PLACE = "/flag/checkout/environments/production"

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def checkout(app: Flask) -> None:
    """A flag that is on in production for a quarter of a segment, and off in qa."""
    change = ChangeContext(NOW, "tests", "Begin <b>here</b>.")
    strategies = [
        {"name": "flexibleRollout", "parameters": {"rollout": "25", "groupId": "g", "stickiness": "userId"}}
        | {"segments": [3], "constraints": [{"contextName": "country", "operator": "IN", "values": ["<ES>"]}]}
    ]
    variants = [{"name": "blue", "weight": 500, "payload": {"type": "string", "value": "#00f"}}]
    fields = {"strategies": strategies, "variants": [*variants, {"name": "red", "weight": 500}]}
    with write_session(app) as session:
        create_flag(session, "checkout", {"production": True, "qa": False}, change, description="The new till.")
        edit_segment(session, "production", 3, {"name": "Beta <i>testers</i>", "constraints": []}, change, version=0)
        edit_definition(session, "checkout", "production", fields, change, version=1)


def stored(app: Flask, environment: str = "production") -> Mapping[str, object]:
    with read_session(app) as session:
        return store.definitions_of(session, "checkout")[environment]


def editor(browser: FlaskClient) -> dict[str, str]:
    """Return the fields of the editor as a browser would send them."""
    page = browser.get(PLACE).text
    (version,) = re.findall(r'name="version" value="(\d+)"', page)
    return {"version": version, "reason": "A test."}


def send(browser: FlaskClient, path: str, **form: str) -> tuple[int, str]:
    answer = browser.post(path, data=form, headers=HTML, follow_redirects=True)
    return answer.status_code, page_text(answer.text)


def test_a_flag_reads_as_sentences(sign_in: SignIn) -> None:
    page = sign_in("victor").get("/flag/checkout").text
    text = page_text(page)
    assert "25 % by userId, if country is one of “<ES>” and in segment “Beta <i>testers</i>”." in text
    assert "blue 50 % #00f red 50 %" in text
    assert "qa Off Who would have it, were it on Everybody." in text
    assert "The new till." in text
    assert "<ES>" not in page
    assert "<i>testers" not in page
    assert "<b>here" not in page
    assert "Switch" not in text


def test_the_list_is_searched_and_paged(app: Flask, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "PAGE_FLAGS", 2)
    with write_session(app) as session:
        for name in ("banner", "search", "zoom"):
            create_flag(session, name, {"production": False}, ChangeContext(NOW, "tests", "More."))
    victor = sign_in("victor")
    first = page_text(victor.get("/flags").text)
    assert "4 flags, page 1 of 2" in first
    assert "zoom" not in first
    assert "zoom" in page_text(victor.get("/flags?page=2").text)
    assert "zoom" in page_text(victor.get("/flags?page=99999999999999999999").text)
    found = page_text(victor.get("/flags?q=CHECK").text)
    assert "1 flag" in found
    assert "checkout production: on qa: off" in found
    assert "No flag like that" in page_text(victor.get("/flags?q=nothing").text)
    assert 'href="/flags"' in victor.get("/").text


def test_a_flag_under_a_rollout_leads_to_its_own_page(sign_in: SignIn, planned: Rollout) -> None:
    answer = sign_in("victor").get(f"/flag/{planned.flag}")
    assert (answer.status_code, answer.location) == (303, f"/rollouts/{planned.flag}")
    assert sign_in("victor").get("/flag/nothing", headers=HTML).status_code == 404
    assert planned.flag not in page_text(sign_in("victor").get("/flags").text)


def test_switching_off_is_for_operators_and_on_for_owners(app: Flask, sign_in: SignIn) -> None:
    olga = sign_in("olga")
    assert send(olga, f"{PLACE}/off", reason=" ")[0] == 422
    assert stored(app)["enabled"] is True
    status, text = send(olga, f"{PLACE}/off", reason="It burns.")
    assert (status, "Switched off in production." in text) == (200, True)
    assert stored(app)["enabled"] is False
    assert send(olga, f"{PLACE}/on", reason="Try.")[0] == 403
    assert send(sign_in("victor"), f"{PLACE}/off", reason="Try.")[0] == 403
    assert send(sign_in("alice"), f"{PLACE}/on", reason="Repaired.")[0] == 200
    with read_session(app) as session:
        (entry, *_) = audit.latest(session, subject="flag:checkout")
    assert (entry.action, entry.actor, entry.reason) == ("flag.switch", "alice", "Repaired.")


def test_another_site_can_not_make_a_browser_switch(app: Flask, sign_in: SignIn) -> None:
    headers = {**HTML, "Sec-Fetch-Site": "cross-site"}
    assert sign_in("alice").post(f"{PLACE}/off", data={"reason": "x"}, headers=headers).status_code == 403
    assert stored(app)["enabled"] is True


def test_the_editor_saves_what_the_api_would_take(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    only = {"strategies": [{"name": "userWithId", "parameters": {"userIds": "7"}}]}
    status, text = send(alice, PLACE, **editor(alice), text=json.dumps(only))
    assert (status, "Changed in production." in text, "Users 7." in text) == (200, True, True)
    assert stored(app)["enabled"] is True


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("{", "The text is no JSON"),
        ("[]", "An object with enabled, strategies"),
        ('{"enabled": "maybe"}', "enabled: "),
        ('{"color": 1}', "color: Extra inputs are not permitted"),
        ('{"strategies": [{"name": "ours"}]}', "strategies[0].name: SDKs forget custom strategies"),
        ('{"variants": [{"name": "a", "weight": -1}]}', "variants[0].weight: A whole number"),
    ],
)
def test_every_mistake_is_named_and_the_text_stays(app: Flask, sign_in: SignIn, text: str, mistake: str) -> None:
    before, alice = stored(app), sign_in("alice")
    fields = editor(alice)
    answer = alice.post(PLACE, data={**fields, "text": text}, headers=HTML)
    assert answer.status_code == 422
    assert mistake in page_text(answer.text)
    assert text in page_text(answer.text)
    assert 'value="A test."' in answer.text
    assert stored(app) == before


def test_of_two_editors_the_second_is_told_and_overwrites_nothing(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    fields = editor(alice)
    assert send(alice, PLACE, **fields, text='{"enabled": false}')[0] == 200
    for _ in range(2):
        status, text = send(alice, PLACE, **fields, text='{"strategies": []}')
        assert status == 422
        assert "was changed meanwhile" in text
    assert stored(app)["strategies"] != []


def test_users_are_moved_only_when_that_is_confirmed(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    fields = editor(alice)
    text = json.dumps({"strategies": [{"name": "remoteAddress", "parameters": {"IPs": "2001:db8::1"}}]})
    status, page = send(alice, PLACE, **fields, text=text)
    assert (status, "Move those users" in page) == (422, True)
    assert send(alice, PLACE, **fields, text=text, confirm="yes")[0] == 200


def test_an_environment_that_lacks_the_flag_is_added_by_the_editor(app: Flask, sign_in: SignIn) -> None:
    alice, path = sign_in("alice"), "/flag/checkout/environments/staging"
    assert "does not have this flag yet" in page_text(alice.get(path).text)
    assert send(alice, path, version="0", reason="Also there.", text='{"enabled": true}')[0] == 200
    assert stored(app, "staging")["enabled"] is True
    assert alice.get("/flag/checkout/environments/a b", headers=HTML).status_code == 422
    assert alice.get("/flag/nothing/environments/staging", headers=HTML).status_code == 404


def test_description_tags_and_the_stale_mark_are_changed_everywhere(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    versions = re.findall(r'name="version" value="([^"]+)"', alice.get("/flag/checkout").text)
    form = {"form": "marks", "version": versions, "tags": "simple:till, team:pay", "stale": "yes"}
    form["description"] = "Old."
    refused = alice.post("/flag/checkout/marks", data={**form, "reason": ""}, headers=HTML)
    assert refused.status_code == 422
    assert 'value="simple:till, team:pay"' in refused.text
    answer = alice.post("/flag/checkout/marks", data={**form, "reason": "Tidy."}, headers=HTML, follow_redirects=True)
    assert "Stale simple:till · team:pay" in page_text(answer.text)
    assert stored(app, "qa")["description"] == "Old."
    assert "checkout Stale" in page_text(alice.get("/flags?tag=till&stale=yes").text)
    assert "No flag like that" in page_text(alice.get("/flags?stale=no").text)
    again = alice.post("/flag/checkout/marks", data={**form, "reason": "Tidy."}, headers=HTML)
    assert "was changed meanwhile" in page_text(again.text)


def test_an_earlier_version_is_made_the_flag_again(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    with read_session(app) as session:
        first = audit.latest(session, subject="flag:checkout")[-1].id
    assert f"Restore version {first}" in page_text(alice.get("/flag/checkout").text)
    assert send(alice, "/flag/checkout/restore", entry=str(first), reason="")[0] == 422
    assert send(alice, "/flag/checkout/restore", entry="x", reason="Back.")[0] == 422
    status, text = send(alice, "/flag/checkout/restore", entry=str(first), reason="Back.")
    assert (status, "Restored in every environment." in text) == (200, True)
    assert [each["name"] for each in stored(app)["strategies"]] == ["default"]  # type: ignore[attr-defined]
    assert send(sign_in("olga"), "/flag/checkout/restore", entry=str(first), reason="Back.")[0] == 403


def test_a_new_flag_is_off_everywhere(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    form = {"form": "new", "name": "banner", "environment": "production", "reason": "Soon."}
    assert send(alice, "/flags", **{**form, "name": "checkout"})[0] == 422
    refused = alice.post("/flags", data={**form, "environment": []}, headers=HTML)
    assert (refused.status_code, 'value="banner"' in refused.text) == (422, True)
    status, text = send(alice, "/flags", **form)
    assert (status, "Made, and off everywhere." in text, "production Off" in text) == (200, True, True)
    assert send(sign_in("olga"), "/flags", **form)[0] == 403


def test_an_owner_of_one_environment_makes_a_flag_there_alone(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person]
) -> None:
    with write_session(app) as session:
        grants = [Grant(Role.OWNER, environment="qa")]
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=NOW, actor="tests")
    victor = sign_in("victor")
    page = victor.get("/flags").text
    assert re.findall(r'name="environment" value="(\w+)"', page) == ["qa"]
    assert "You own flags in qa; owners elsewhere add this one to theirs." in page_text(page)
    form = {"name": "search", "reason": "A test."}
    assert send(victor, "/flags", **form, environment="production")[0] == 403
    status, text = send(victor, "/flags", **form, environment="qa")
    assert (status, "Made, and off everywhere." in text) == (200, True)
    with read_session(app) as session:
        assert list(store.definitions_of(session, "search")) == ["qa"]


def test_each_card_offers_what_its_environment_allows(app: Flask, sign_in: SignIn, cast: Mapping[str, Person]) -> None:
    with write_session(app) as session:
        grants = [Grant(Role.OWNER, environment="qa")]
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=NOW, actor="tests")
    page = sign_in("victor").get("/flag/checkout").text
    assert re.findall(r'href="/flag/checkout/environments/(\w+)"', page) == ["qa"]
    assert re.findall(r'action="/flag/checkout/environments/(\w+)/o', page) == ["qa"]


def test_each_change_leaves_an_entry_with_its_person_and_reason(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    with read_session(app) as session:
        first = audit.latest(session, subject="flag:checkout")[-1].id
    actions = set()

    def versions() -> list[str]:
        return re.findall(r'name="version" value="([^"]+)"', alice.get("/flag/checkout").text)

    changes: Mapping[str, Callable[[], dict[str, object]]] = {
        "/flags": lambda: {"form": "new", "name": "banner", "environment": "production"},
        "/flag/checkout/marks": lambda: {"form": "marks", "version": versions(), "tags": "a:b", "description": "Old."},
        PLACE: lambda: {**editor(alice), "text": json.dumps({"enabled": True, "strategies": []})},
        f"{PLACE}/off": dict,
        "/flag/checkout/restore": lambda: {"entry": str(first)},
    }
    for path, form in changes.items():
        alice.post(path, data={**form(), "reason": f"By {path}."}, headers=HTML)
        with read_session(app) as session:
            (entry, *_) = audit.latest(session, subject="flag:banner" if path == "/flags" else "flag:checkout")
        assert (entry.actor, entry.reason) == ("alice", f"By {path}.")
        actions.add(entry.action)
    assert actions == {"flag.create", "flag.update", "flag.switch", "flag.restore"}


def test_the_pages_read_a_bounded_number_of_times(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    for path in ("/flags", "/flag/checkout", PLACE):
        with app.app_context(), statements.noted() as sent:
            assert alice.get(path).status_code == 200
        assert len(sent) <= QUERIES_MAX, (path, len(sent), [each[0] for each in sent])
