"""Earlier versions of a flag without a rollout: as the trail has them, and one of them made the flag again."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.definitions import create_flag, delete_flag, switch_flag
from flags.administration.edits import edit_definition, edit_flag
from flags.administration.flag_versions import State, restore, versions
from flags.administration.imports import ImportOptions, import_definitions

SignIn = Callable[[str], FlaskClient]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
PLACES = ("production", "staging")
CHANGE = ChangeContext(datetime.now(UTC), "olga", "Because.")
QUARTER = {"name": "flexibleRollout", "parameters": {"rollout": "25", "stickiness": "default", "groupId": "plain"}}


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def current(name: str = "plain") -> State:
    with read_only() as session:
        return store.definitions_of(session, name)


def act(kind: str, place: str) -> None:
    with transaction() as session:
        match kind:
            case "create":
                create_flag(session, "plain", {place: True}, CHANGE)
            case "on" | "off":
                switch_flag(session, "plain", place, CHANGE, enabled=kind == "on")
            case "delete":
                delete_flag(session, "plain", CHANGE)
            case "import":
                feature = {"name": "plain", "enabled": True, "strategies": [QUARTER]}
                import_definitions(session, place, {"features": [feature]}, CHANGE, ImportOptions())
            case "describe":
                stored = {name: each.version for name, each in store.stored_definitions(session, "plain").items()}
                edit_flag(session, "plain", {"description": place}, CHANGE, versions=stored, tags=[f"team:{place}"])
            case "clear":
                import_definitions(session, place, {"features": []}, CHANGE, ImportOptions(replace=True))


STEPS = st.tuples(
    st.sampled_from(("create", "on", "off", "delete", "import", "import", "describe", "clear")), st.sampled_from(PLACES)
)


@pytest.mark.database("sqlite")
@pytest.mark.usefixtures("context")
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, min_size=1, max_size=8), back=st.integers(0, 7))
def test_each_version_is_the_flag_as_it_was_and_can_be_had_again(steps: list[tuple[str, str]], back: int) -> None:
    with transaction() as session:
        if store.definitions_of(session, "plain"):
            delete_flag(session, "plain", CHANGE)
        begun = max((each.entry for each in versions(session, "plain")), default=0)
    seen: dict[int, State] = {}
    for kind, place in steps:
        try:
            act(kind, place)
        except Problem:
            continue
        with read_only() as session:
            seen[versions(session, "plain")[0].entry if versions(session, "plain") else 0] = current()
    with read_only() as session:
        known = {each.entry: each.state for each in versions(session, "plain") if each.entry > begun}
    assert known == {entry: state for entry, state in seen.items() if entry > begun}
    if wanted := [entry for entry, state in known.items() if state][back : back + 1]:
        with transaction() as session:
            restore(session, "plain", wanted[0], CHANGE)
        assert current() == known[wanted[0]]


@pytest.mark.usefixtures("context")
def test_a_restore_is_a_change_of_its_own_with_both_contents() -> None:
    act("import", "production")
    before = current()
    act("delete", "production")
    with transaction() as session:
        first = versions(session, "plain")[-1].entry
        restore(session, "plain", first, CHANGE)
        entry = audit.latest(session, subject="flag:plain")[0]
    assert (entry.action, entry.before, entry.after) == ("flag.restore", {}, before)
    with read_only() as session:
        assert audit.verify(session).intact


@pytest.mark.usefixtures("context")
def test_an_edit_of_what_environments_share_leaves_a_whole_version_behind() -> None:
    act("import", "production")
    with transaction() as session:
        numbers = {place: each.version for place, each in store.stored_definitions(session, "plain").items()}
        edit_flag(session, "plain", {"description": "New."}, CHANGE, versions=numbers, tags=["simple:red"])
    edited = current()
    act("delete", "production")
    with transaction() as session:
        restore(session, "plain", versions(session, "plain")[1].entry, CHANGE)
    assert current() == edited
    assert edited["production"]["strategies"][0]["parameters"] == QUARTER["parameters"]


@pytest.mark.usefixtures("context")
def test_what_has_no_content_is_refused_in_a_sentence() -> None:
    act("create", "production")
    act("delete", "production")
    with transaction() as session:
        removed, _ = versions(session, "plain")
        for entry, code in ((removed.entry, "FLAG_VERSION_EMPTY"), (10**9, "FLAG_VERSION_NOT_FOUND")):
            with pytest.raises(Problem) as refusal:
                restore(session, "plain", entry, CHANGE)
            assert refusal.value.code == code
    assert current() == {}


@pytest.mark.usefixtures("context")
def test_a_switch_of_before_the_trail_held_contents_has_none() -> None:
    act("create", "staging")
    with transaction() as session:
        audit.record(session, CHANGE, action="flag.switch", subject="flag:old", after={"production": True})
        (found,) = versions(session, "old")
    assert found.state is None


def test_it_is_read_by_viewers_and_done_by_owners_of_each_environment(
    app: Flask, sign_in: SignIn, make_token: Callable[..., str]
) -> None:
    with app.app_context():
        act("import", "production")
        act("off", "production")
    victor = sign_in("victor")
    listed = victor.get("/api/flags/plain/versions").get_json()["versions"]
    assert [each["action"] for each in listed] == ["flag.switch", "flag.create"]
    wanted = {"entry": listed[-1]["entry"], "reason": "Was right."}
    assert victor.post("/api/flags/plain/restore", json=wanted, headers=SAME_ORIGIN).status_code == 403
    place = {"Authorization": make_token("admin", role="owner", environment="staging")}
    assert app.test_client().post("/api/flags/plain/restore", json=wanted, headers=place).status_code == 403
    with app.app_context():
        assert current()["production"]["enabled"] is False
    done = sign_in("alice").post("/api/flags/plain/restore", json=wanted, headers=SAME_ORIGIN)
    assert done.get_json()["environments"] == {"production": True}
    for mistake in (
        {"entry": 0, "reason": "x"},
        {"entry": 1},
        {"entry": "x", "reason": "x"},
        {"entry": 1, "reason": ""},
    ):
        refused = sign_in("alice").post("/api/flags/plain/restore", json=mistake, headers=SAME_ORIGIN)
        assert refused.status_code == 422, mistake


def store_unseen(*places: str) -> None:
    """Store the flag as a release did whose trail held no contents."""
    wire = {"name": "plain", "enabled": True, "strategies": [{**QUARTER, "constraints": [], "segments": []}]}
    with transaction() as session:
        for place in places:
            store.put_definitions(session, place, [wire], actor="olga", now=CHANGE.now)


@pytest.mark.usefixtures("context")
def test_a_restore_leaves_alone_what_the_trail_never_mentioned() -> None:
    store_unseen(*PLACES)
    before = current()
    act("off", "staging")
    act("on", "staging")
    with transaction() as session:
        stored = store.stored_definitions(session, "plain")["staging"].version
        edit_definition(session, "plain", "staging", {"enabled": False}, CHANGE, version=stored)
    with transaction() as session:
        restore(session, "plain", versions(session, "plain")[0].entry, CHANGE)
    assert current()["production"] == before["production"], "nobody touched production"


@pytest.mark.usefixtures("context")
def test_an_environment_that_is_added_later_was_without_the_flag_before() -> None:
    act("import", "production")
    act("import", "staging")
    with transaction() as session:
        first = versions(session, "plain")[-1]
        assert first.state is not None
        assert (set(first.state), set(first.absent)) == ({"production"}, {"staging"})
        restore(session, "plain", first.entry, CHANGE)
    assert set(current()) == {"production"}


@pytest.mark.usefixtures("context")
def test_what_a_version_refers_to_is_there_again_or_it_is_refused() -> None:
    segment = {"id": 7, "name": "seven", "constraints": []}
    strategy = {"name": "default", "segments": [7]}
    parent = {"name": "parent", "enabled": True, "strategies": [], "variants": [{"name": "a", "weight": 1000}]}
    child = {"name": "plain", "enabled": True, "strategies": [strategy]}
    bound = {**child, "dependencies": [{"feature": "parent", "variants": ["a"]}]}
    with transaction() as session:
        for feature in (child, bound):
            document = {"features": [parent, feature], "segments": [segment]}
            import_definitions(session, "production", document, CHANGE, ImportOptions())
    act("clear", "production")
    with transaction() as session:
        plain = {"features": [{"name": "parent", "enabled": True, "strategies": []}]}
        import_definitions(session, "production", plain, CHANGE, ImportOptions())
        _, depends, first = versions(session, "plain")
        restore(session, "plain", first.entry, CHANGE)
        assert [each["id"] for each in store.segments(session, "production")] == [7], "a strategy asks for it"
        with pytest.raises(Problem) as refusal:
            restore(session, "plain", depends.entry, CHANGE)
    assert refusal.value.code == "INVALID_DEFINITION"
