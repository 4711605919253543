"""Segments on pages: listed, read in words, written as YAML with a preview, removed where nothing uses them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from control_plane.plans.yaml_text import CHARACTERS_MAX
from control_plane.platform.auth import accounts, audit
from control_plane.platform.identity_types import Grant, Person, Role
from dashboards.view_models import segments as screens
from flags import store
from flags.administration.definitions import create_flag
from flags.administration.edits import edit_definition
from flags.administration.segments import edit_segment
from flags.store import UserAttributes, upsert_users
from tests import statements
from tests.dashboards.browsing import page_text, read_session, write_session

HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
SPANISH = {"Accept-Language": "es"}
NOW = datetime.now(UTC)
QUERIES_MAX = 12
PLACE = "/segments/production/3"
PROS = [{"contextName": "plan", "operator": "IN", "values": ["pro", "<team>"]}]
EVERYBODY = "[]"

SignIn = Callable[[str], FlaskClient]


@pytest.fixture(autouse=True)
def pros(app: Flask) -> None:
    """A segment that checkout uses in production, one that nothing uses, and two users who are not in the first."""
    change = ChangeContext(NOW, "tests", "Begin <b>here</b>.")
    with write_session(app) as session:
        upsert_users(session, [UserAttributes(name, "free") for name in ("u1", "u2")], now=NOW)
        create_flag(session, "checkout", {"production": True}, change)
        edit_segment(session, "production", 3, {"name": "Pros <i>now</i>", "constraints": PROS}, change, version=0)
        edit_segment(session, "qa", 4, {"name": "Testers", "constraints": []}, change, version=0)
        fields = {"strategies": [{"name": "default", "segments": [3]}]}
        edit_definition(session, "checkout", "production", fields, change, version=1)


def stored(app: Flask, environment: str = "production") -> Mapping[int, Mapping[str, object]]:
    with read_session(app) as session:
        return {each["id"]: each for each in store.segments(session, environment)}


def send(browser: FlaskClient, path: str, **form: str) -> tuple[int, str]:
    answer = browser.post(path, data=form, headers=HTML, follow_redirects=True)
    return answer.status_code, page_text(answer.text)


def editor(browser: FlaskClient, path: str = f"{PLACE}/edit", **fields: str) -> dict[str, str]:
    """Return the fields of the editor as a browser would send them, for saving."""
    page = browser.get(path).text
    (version,) = re.findall(r'name="version" value="(\d+)"', page)
    return {"version": version, "name": "Pros", "reason": "A test.", "do": "save", "text": EVERYBODY} | fields


def test_the_list_says_where_each_segment_is_and_which_flags_use_it(sign_in: SignIn) -> None:
    victor = sign_in("victor")
    page = victor.get("/segments").text
    assert "Pros <i>now</i> No. 3 production 1 checkout" in page_text(page)
    assert "Testers No. 4 qa 0 no flag" in page_text(page)
    assert "<i>now" not in page
    assert "New segment" not in page_text(page)
    for asked, found in {"q=PROS": "1 segment", "q=checkout": "1 segment", "environment=qa": "1 segment"}.items():
        assert found in page_text(victor.get(f"/segments?{asked}").text)
    assert "No segment like that" in page_text(victor.get("/segments?q=nothing").text)
    assert 'href="/segments"' in victor.get("/flags").text


def test_the_list_is_paged(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screens, "PAGE_SEGMENTS", 1)
    victor = sign_in("victor")
    assert "2 segments, page 1 of 2" in page_text(victor.get("/segments").text)
    assert "Testers" in page_text(victor.get("/segments?page=99999999999999999999").text)


def test_a_segment_reads_in_words_and_as_yaml_with_its_flags_and_versions(sign_in: SignIn) -> None:
    page = sign_in("victor").get(PLACE).text
    text = page_text(page)
    assert "Everybody of whom this is true: plan is one of “pro”, “<team>”" in text
    assert "contextName: plan operator: IN values: - pro - <team>" in text
    assert "Used by checkout" in text
    assert "Segment made" in text
    assert "Begin <b>here</b>." in text
    assert "<team>" not in page
    assert "Remove" not in text
    assert sign_in("victor").get("/segments/production/9", headers=HTML).status_code == 404
    assert sign_in("victor").get("/segments/production/99999999999999999999", headers=HTML).status_code == 404


def test_a_preview_counts_who_gains_and_changes_nothing(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    status, text = send(alice, f"{PLACE}/edit", **editor(alice, do="preview", reason=""))
    assert (status, "Everybody: it has no condition." in text) == (200, True)
    assert "checkout 2 0" in text
    assert stored(app)[3]["constraints"] != []
    country = "- {contextName: country, operator: IN, values: [ES]}"
    _, text = send(alice, f"{PLACE}/edit", **editor(alice, do="preview", text=country))
    assert "does not know country" in text
    _, text = send(alice, "/segments/qa/4/edit", **editor(alice, "/segments/qa/4/edit", do="preview"))
    assert "No flag refers to it, so nobody gains or loses anything." in text


def test_an_owner_saves_what_the_api_would_take(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert "contextName: plan" in alice.get(f"{PLACE}/edit").text
    status, text = send(alice, f"{PLACE}/edit", **editor(alice))
    assert (status, "Saved in production." in text) == (200, True)
    assert stored(app)[3] == {"id": 3, "name": "Pros", "constraints": []}
    with read_session(app) as session:
        (entry, *_) = audit.latest(session, subject="segment:3")
    assert (entry.action, entry.actor, entry.reason) == ("segment.update", "alice", "A test.")
    first = re.findall(r"edit\?entry=(\d+)", alice.get(PLACE).text)
    assert "contextName: plan" in alice.get(f"{PLACE}/edit?entry={first[0]}").text


@pytest.mark.parametrize(
    ("fields", "mistake"),
    [
        ({"text": "- {"}, "Line 1"),
        ({"text": "a: *b"}, "Line 1"),
        ({"text": "7"}, "constraints: Input should be a valid list"),
        ({"text": "- {contextName: a, operator: NUM_EQ, value: x}"}, "value"),
        ({"text": "- {contextName: a, operator: NEW_ONE, inverted: true}"}, "NEW_ONE"),
        ({"name": ""}, "name: "),
        ({"reason": " "}, "reason: "),
        ({"version": "x"}, "version: "),
    ],
)
def test_every_mistake_is_named_and_what_was_written_stays(
    app: Flask, sign_in: SignIn, fields: dict[str, str], mistake: str
) -> None:
    before, alice = stored(app), sign_in("alice")
    form = editor(alice, **fields)
    answer = alice.post(f"{PLACE}/edit", data=form, headers=HTML)
    assert answer.status_code == 422
    assert mistake in page_text(answer.text)
    assert form["text"].strip() in page_text(answer.text)
    assert stored(app) == before


def test_what_is_too_long_is_refused_whole_and_never_cut(app: Flask, sign_in: SignIn) -> None:
    before, alice = stored(app), sign_in("alice")
    text = f"- {{contextName: plan, operator: IN, values: [pro]}}\n#{'x' * CHARACTERS_MAX}\n- {{contextName: b}}\n"
    answer = alice.post(f"{PLACE}/edit", data=editor(alice, text=text), headers=HTML)
    assert (answer.status_code, "The file is longer than 200 000 characters." in page_text(answer.text)) == (422, True)
    assert "- {contextName: b}" in answer.text
    assert stored(app) == before


def test_of_two_editors_the_second_is_told_and_overwrites_nothing(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    form = editor(alice)
    assert send(alice, f"{PLACE}/edit", **form)[0] == 200
    for _ in range(2):
        status, text = send(alice, f"{PLACE}/edit", **{**form, "name": "Mine"})
        assert status == 422
        assert "was changed meanwhile" in text
    assert stored(app)[3]["name"] == "Pros"


def test_a_new_segment_takes_the_next_number_of_its_environment(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    form = editor(alice, "/new-segment?environment=qa", name="Beta", environment="qa")
    assert "<option selected>qa" in alice.get("/new-segment?environment=qa").text
    status, text = send(alice, "/new-segment", **form)
    assert (status, "No. 5 in qa, version 1" in text) == (200, True)
    assert stored(app, "qa")[5]["name"] == "Beta"
    assert send(alice, "/new-segment", **{**form, "environment": "no such place"})[0] == 422
    assert send(alice, "/new-segment", **{**form, "environment": "invented"})[0] == 422


def test_an_owner_of_one_environment_makes_a_segment_there_alone(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person]
) -> None:
    with write_session(app) as session:
        grants = [Grant(Role.OWNER, environment="qa")]
        accounts.change_grants(session, cast["victor"].id, grants=grants, now=NOW, actor="tests")
    victor = sign_in("victor")
    assert 'href="/segments/qa/new"' in victor.get("/segments?environment=qa").text
    assert "New segment" not in victor.get("/segments?environment=production").text
    form = editor(victor, "/segments/qa/new", name="Beta", environment="production")
    assert send(victor, "/segments/qa/new", **form)[0] == 200
    assert (stored(app, "qa")[5]["name"], 5 in stored(app)) == ("Beta", False)
    assert send(victor, "/segments/production/new", **form)[0] == 403


def test_a_segment_in_use_is_not_removed_and_another_is(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert "It can be removed once no flag refers to it and no plan names it." in page_text(alice.get(PLACE).text)
    form = {"form": "remove", "version": "1", "reason": "Done."}
    status, text = send(alice, f"{PLACE}/remove", **form)
    assert (status, "Flags of production refer to 'Pros <i>now</i>': checkout." in text) == (422, True)
    spanish = alice.post(f"{PLACE}/remove", data=form, headers={**HTML, **SPANISH})
    assert "Hay flags que usan este segmento: checkout." in page_text(spanish.text)
    assert send(alice, "/segments/qa/4/remove", **{**form, "reason": ""})[0] == 422
    status, text = send(alice, "/segments/qa/4/remove", **form)
    assert (status, "Removed from qa." in text) == (200, True)
    assert stored(app, "qa") == {}
    assert send(alice, "/segments/qa/4/remove", **form)[0] == 404


def test_viewers_and_operators_read_and_owners_write(app: Flask, sign_in: SignIn) -> None:
    olga, before = sign_in("olga"), stored(app)
    assert olga.get(PLACE).status_code == 200
    for path in (f"{PLACE}/edit", "/new-segment"):
        assert olga.get(path, headers=HTML).status_code == 403
        assert send(olga, path, name="x", reason="y", version="1", text="", do="save", environment="qa")[0] == 403
    assert send(olga, f"{PLACE}/remove", version="1", reason="y")[0] == 403
    elsewhere = {**HTML, "Sec-Fetch-Site": "cross-site"}
    data = {"version": "1", "reason": "y", "name": "x", "text": "", "do": "save"}
    assert sign_in("alice").post(f"{PLACE}/edit", data=data, headers=elsewhere).status_code == 403
    assert stored(app) == before


def test_the_pages_read_a_bounded_number_of_times(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    for path in ("/segments", PLACE, f"{PLACE}/edit", "/new-segment"):
        with app.app_context(), statements.noted() as sent:
            assert alice.get(path).status_code == 200
        assert len(sent) <= QUERIES_MAX, (path, len(sent), [each[0] for each in sent])
