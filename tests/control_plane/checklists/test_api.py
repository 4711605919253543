"""Checklists over HTTP and in the gate: ticked by checks, signed by people, and asked for at the end of a phase."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import ProgrammingError

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import check_job, checks, gate, signatures
from control_plane.checklists.signatures import ItemAddress
from control_plane.core.checklist import Checklist, ChecklistItem, failed, passed, unknown
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateStatus
from control_plane.core.phases import Rollout
from control_plane.core.transitions import Refusal
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.rollouts import archive
from control_plane.rollouts import store as rollout_store

SignIn = Callable[[str], FlaskClient]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CHECKLISTS = (
    Checklist(
        "before",
        "Before production",
        (ChecklistItem("tests", "The tests pass"), ChecklistItem("it", "It works", "ours:42")),
        phases=("development",),
    ),
    Checklist("always", "In every phase", (ChecklistItem("told", "Everybody knows"),), phases=("development", "beta")),
    Checklist("week-1", "Week 1", (ChecklistItem("looked", "Somebody looked"),), after_complete=timedelta(days=7)),
)
ANSWERS = {True: passed("So it is."), False: failed("It is broken."), None: unknown("Nobody knows.")}
PATH = f"/api/rollouts/{FLAG}/checklists"


@pytest.fixture(autouse=True)
def planned(app: Flask) -> Iterator[None]:
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {gate.GATE: gate.gate})
        answer(found=True)
        begun = datetime.now(UTC) - timedelta(days=8)
        plan = replace(default_plan(begun), checklists=CHECKLISTS)
        with transaction() as session:
            decision = rollouts.plan(session, FLAG, plan, ChangeContext(begun, "alice", "Planned."))
            assert not isinstance(decision, Refusal)
        yield


def answer(*, found: bool | None) -> None:
    checks.register_check("ours", lambda _session, _rollout, argument, _now: ANSWERS[found and argument == "42"])


def rollout() -> Rollout:
    with read_only() as session:
        return rollouts.find(session, FLAG)


def gate_now() -> tuple[GateStatus, str]:
    with read_only() as session:
        found = gate.gate(session, rollouts.find(session, FLAG), datetime.now(UTC))
    return found.status, found.reason


def sign(client: FlaskClient, checklist: str, item: str, **body: Any) -> Any:
    return put(client, f"{checklist}/{item}", body)


def put(client: FlaskClient, path: str, body: dict[str, object]) -> Any:
    return client.put(f"{PATH}/{path}/signature", json=body, headers=SAME_ORIGIN)


def items(client: FlaskClient) -> dict[str, str]:
    listed: Any = client.get(PATH).get_json()["checklists"]
    return {
        f"{each['name']}/{item['name']}/{each['phase']}": item["status"] for each in listed for item in each["items"]
    }


def test_people_sign_and_checks_tick_by_themselves_and_untick(sign_in: SignIn) -> None:
    check_job.refresh(datetime.now(UTC))
    owner = sign_in("alice")
    assert items(owner) == {
        "before/tests/development": "open",
        "before/it/development": "ticked",
        "always/told/development": "open",
        "always/told/beta": "open",
        "week-1/looked/": "open",
    }
    signed = sign(sign_in("olga"), "before", "tests", link="https://ci.example/1")
    assert (signed.status_code, signed.get_json()["signedBy"]) == (200, "olga")
    answer(found=False)
    check_job.refresh(datetime.now(UTC) + timedelta(minutes=1))
    assert items(owner)["before/it/development"] == "failing"
    assert items(owner)["before/tests/development"] == "ticked"


def test_the_gate_asks_for_all_of_the_phase_and_names_what_is_missing(sign_in: SignIn) -> None:
    check_job.refresh(datetime.now(UTC))
    status, reason = gate_now()
    assert status is GateStatus.UNKNOWN
    assert reason == "2 items are not ticked: The tests pass; Everybody knows."
    olga = sign_in("olga")
    sign(olga, "before", "tests", note="All of them.")
    sign(olga, "always", "told", note="By mail.")
    assert gate_now()[0] is GateStatus.OPEN
    answer(found=False)
    check_job.refresh(datetime.now(UTC) + timedelta(minutes=1))
    assert gate_now() == (GateStatus.CLOSED, "1 item is not true: It works: It is broken.")


def test_a_named_approval_passes_what_nobody_signed_and_not_what_a_check_finds_false(sign_in: SignIn) -> None:
    alice = sign_in("alice")
    check_job.refresh(datetime.now(UTC))
    body: dict[str, object] = {"expectedVersion": 1}
    refused: Any = alice.post(f"/api/rollouts/{FLAG}/advance", json=body, headers=SAME_ORIGIN)
    assert (refused.status_code, refused.get_json()["reasons"][0]["code"]) == (409, "GATE_UNKNOWN")
    answer(found=False)
    check_job.refresh(datetime.now(UTC) + timedelta(minutes=1))
    body["reason"] = "I know better."
    closed: Any = alice.post(f"/api/rollouts/{FLAG}/advance", json=body, headers=SAME_ORIGIN)
    assert (closed.status_code, closed.get_json()["reasons"][0]["code"]) == (409, "GATE_CLOSED")
    answer(found=None)
    check_job.refresh(datetime.now(UTC) + timedelta(minutes=2))
    assert alice.post(f"/api/rollouts/{FLAG}/advance", json=body, headers=SAME_ORIGIN).status_code == 200
    assert rollout().phase.name == "beta"


def test_a_signature_belongs_to_its_phase_and_its_attempt(sign_in: SignIn) -> None:
    olga = sign_in("olga")
    assert sign(olga, "always", "told", note="By mail.", phase="beta").status_code == 200
    assert items(olga)["always/told/development"] == "open"
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        later = replace(found, attempt=2, version=2)
        assert rollout_store.compare_and_set(session, later, expected_version=1)
    assert items(olga)["always/told/beta"] == "open"


def test_a_signature_can_be_taken_back_with_a_reason_and_the_trail_has_both(sign_in: SignIn) -> None:
    olga = sign_in("olga")
    sign(olga, "before", "tests", note="All of them.")
    path = f"{PATH}/before/tests/signature"
    assert olga.delete(path, json={}, headers=SAME_ORIGIN).status_code == 422
    assert olga.delete(path, json={"reason": "It was the wrong run."}, headers=SAME_ORIGIN).status_code == 204
    assert olga.delete(path, json={"reason": "Again."}, headers=SAME_ORIGIN).status_code == 409
    assert items(olga)["before/tests/development"] == "open"
    with read_only() as session:
        entries = audit.latest(session, subject=f"rollout:{FLAG}", limit=2)
    assert [entry.action for entry in entries] == ["checklist.withdraw", "checklist.sign"]
    assert entries[0].before is not None
    assert entries[0].before["note"] == "All of them."


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("before/tests", {}, (422, "NOTE_REQUIRED")),
        ("before/tests", {"note": "  "}, (422, "NOTE_REQUIRED")),
        ("before/tests", {"link": "javascript:alert(1)"}, (422, "INVALID_LINK")),
        ("before/tests", {"note": "x" * 2001}, (422, "INVALID_BODY")),
        ("before/tests", {"note": "x", "phase": "beta"}, (404, "ITEM_NOT_FOUND")),
        ("before/no-such", {"note": "x"}, (404, "ITEM_NOT_FOUND")),
        ("no-such/tests", {"note": "x"}, (404, "ITEM_NOT_FOUND")),
        ("before/it", {"note": "x"}, (409, "TICKED_BY_CHECK")),
    ],
)
def test_what_cannot_be_signed_is_said_in_a_sentence(
    sign_in: SignIn, path: str, body: dict[str, object], expected: tuple[int, str]
) -> None:
    check_job.refresh(datetime.now(UTC))
    found = put(sign_in("olga"), path, body)
    assert (found.status_code, found.get_json()["code"]) == expected


def test_a_failing_check_can_not_be_signed_away(sign_in: SignIn) -> None:
    answer(found=False)
    check_job.refresh(datetime.now(UTC))
    found = sign(sign_in("olga"), "before", "it", note="It does.")
    assert (found.status_code, found.get_json()["code"]) == (409, "CHECK_FAILS")


def test_viewers_read_and_do_not_sign(sign_in: SignIn, client: FlaskClient) -> None:
    victor = sign_in("victor")
    assert victor.get(PATH).status_code == 200
    assert sign(victor, "before", "tests", note="x").status_code == 403
    assert client.get(PATH).status_code == 401


@pytest.mark.parametrize("error", [ZeroDivisionError(), ProgrammingError("SELECT 1/", {}, Exception())])
def test_a_check_that_breaks_can_not_tell_and_leaves_the_others_alone(sign_in: SignIn, error: Exception) -> None:
    def broken(*_: object) -> Any:
        raise error

    checks.register_check("ours", broken)
    check_job.refresh(datetime.now(UTC))
    assert items(sign_in("alice"))["before/it/development"] == "unknown"


def test_a_plan_that_names_an_unknown_check_is_refused() -> None:
    item = ChecklistItem("x", "X", "no-such-check:1")
    plan = replace(default_plan(datetime.now(UTC)), checklists=(Checklist("c", "C", (item,), phases=("beta",)),))
    with transaction() as session:
        decision = rollouts.plan(session, "OTHER", plan, ChangeContext(datetime.now(UTC), "alice", "x"))
    assert isinstance(decision, Refusal)
    assert "no check 'no-such-check:1' is known" in decision.sentence


def edited(checklists: tuple[Checklist, ...]) -> None:
    with transaction() as session:
        found = rollouts.find(session, FLAG)
        change = ChangeContext(datetime.now(UTC), "alice", "Another item.")
        plan = replace(found.plan, checklists=checklists)
        decision = administration.edit(session, FLAG, plan, change, expected_version=found.version)
        assert not isinstance(decision, Refusal)


def signed_items(client: FlaskClient) -> list[str]:
    return [
        item["name"] for each in client.get(PATH).get_json()["checklists"] for item in each["items"] if item["signedBy"]
    ]


@pytest.mark.parametrize(
    "item", [ChecklistItem("tests", "The security review is done"), ChecklistItem("tests", "The tests pass", "ours:1")]
)
def test_nobody_has_signed_an_item_that_says_something_else_now(sign_in: SignIn, item: ChecklistItem) -> None:
    client = sign_in("alice")
    for name in ("before/tests", "always/told"):
        answer_of = client.put(f"{PATH}/{name}/signature", json={"note": "Done."}, headers=SAME_ORIGIN)
        assert answer_of.status_code == 200
    edited((replace(CHECKLISTS[0], items=(item,)), *CHECKLISTS[1:]))
    assert signed_items(client) == ["told"]
    edited(CHECKLISTS)
    assert signed_items(client) == ["told"]
    with read_only() as session:
        withdrawn = [each for each in audit.latest(session) if each.action == "checklist.withdraw"]
    assert [(each.actor, each.reason) for each in withdrawn] == [("alice", "Another item.")]


def test_a_signature_meets_the_plan_that_was_read_or_none() -> None:
    with transaction() as session:
        seen = rollouts.find(session, FLAG)
    edited((replace(CHECKLISTS[0], title="Another title"), *CHECKLISTS[1:]))
    change, address = ChangeContext(datetime.now(UTC), "bob", "Done."), ItemAddress("before", "tests")
    with transaction() as session, pytest.raises(Problem, match="at the same moment"):
        signatures.sign(session, seen, address, change, link="")


def test_two_who_sign_at_once_both_get_an_answer(app: Flask) -> None:
    together = Barrier(4)

    def sign(actor: str) -> str:
        with app.app_context():
            together.wait()
            with transaction() as session:
                found, change = rollouts.find(session, FLAG), ChangeContext(datetime.now(UTC), actor, "Done.")
                return signatures.sign(session, found, ItemAddress("before", "tests"), change, link="").status

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sign, ("a1", "a2", "a3", "a4"))) == ["ticked"] * 4


def test_a_deleted_flag_leaves_no_signature_to_a_later_one_of_its_name(sign_in: SignIn) -> None:
    client, change = sign_in("alice"), ChangeContext(datetime.now(UTC), "alice", "Over.")
    edited(tuple(replace(each, once=bool(each.phases)) for each in CHECKLISTS))
    client.put(f"{PATH}/before/tests/signature", json={"note": "Done."}, headers=SAME_ORIGIN)
    assert signed_items(client) == ["tests"]
    with transaction() as session:
        plan = rollouts.find(session, FLAG).plan
        rollouts.roll_back(session, FLAG, change)
        archive.archive(session, FLAG, change, expected_version=3, confirm_losing=True)
        archive.delete(session, FLAG, change, expected_version=4)
        # The cool-down of the rollback goes on for the name.
        rollouts.plan(session, FLAG, plan, replace(change, now=change.now + timedelta(days=30)))
    assert signed_items(client) == []
