"""A flag in each of its states, and what becomes of a rollout of one environment meanwhile: on both databases."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Plan, RolloutState
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.platform.db.database import transaction
from control_plane.rollouts import archive
from tests.control_plane.rollouts.rings import FLAG, codes, do, find, made, phase, plan_of

CANARY, STAGING = "SEARCH@canary", "SEARCH@staging"
Put = Callable[[ChangeContext], None]


@pytest.fixture(autouse=True)
def planned(app: Flask, now: datetime, change: ChangeContext) -> Iterator[None]:
    """The flag's own rollout admits nobody in staging and canary, so whoever has it there gained it there."""
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        rollouts.REARM_GATES.set(app, {})
        with transaction() as session:
            rollouts.plan(session, FLAG, Plan((phase("everyone", 10, 100),), now), change)
        yield


def held(change: ChangeContext) -> None:
    assert isinstance(do(rollouts.hold, FLAG, change), Transition)


def held_by_guard(change: ChangeContext) -> None:
    assert isinstance(do(rollouts.hold, FLAG, change, by_guard=True), Transition)


def rolled_back(change: ChangeContext) -> None:
    assert isinstance(do(rollouts.roll_back, FLAG, change), Transition)


def rolled_back_in_all(change: ChangeContext) -> None:
    assert isinstance(do(rollouts.roll_back, FLAG, change, in_all=True), Transition)


def complete(change: ChangeContext) -> None:
    while find(FLAG).state is not RolloutState.COMPLETE:
        advanced = do(rollouts.advance, FLAG, change, expected_version=find(FLAG).version)
        assert isinstance(advanced, Transition), advanced


def archived(change: ChangeContext) -> None:
    complete(change)
    version = find(FLAG).version
    assert isinstance(do(archive.archive, FLAG, change, expected_version=version, confirm_losing=True), Transition)


def running(_change: ChangeContext) -> None:
    assert find(FLAG).state is RolloutState.RUNNING


BEGINNING: dict[Put, dict[str, set[str]]] = {
    running: {CANARY: set(), STAGING: set()},
    held: {CANARY: {"FLAG_HELD"}, STAGING: set()},
    held_by_guard: {CANARY: {"FLAG_HELD"}, STAGING: set()},
    complete: {CANARY: set(), STAGING: set()},
    rolled_back: {CANARY: {"ROLLED_BACK"}, STAGING: set()},
    rolled_back_in_all: {CANARY: {"ROLLED_BACK"}, STAGING: {"ROLLED_BACK"}},
    archived: {CANARY: {"ROLLOUT_ARCHIVED"}, STAGING: {"ROLLOUT_ARCHIVED"}},
}
ADVANCING: dict[Put, dict[str, set[str]]] = {
    running: {CANARY: set(), STAGING: set()},
    held: {CANARY: {"GATE_CLOSED"}, STAGING: set()},
    held_by_guard: {CANARY: {"GATE_CLOSED"}, STAGING: set()},
    complete: {CANARY: set(), STAGING: set()},
    rolled_back: {CANARY: {"NOT_RUNNING"}, STAGING: set()},
    rolled_back_in_all: {CANARY: {"NOT_RUNNING"}, STAGING: {"NOT_RUNNING"}},
    archived: {CANARY: {"NOT_RUNNING"}, STAGING: {"NOT_RUNNING"}},
}


def every(table: dict[Put, dict[str, set[str]]]) -> pytest.MarkDecorator:
    cases = [(state, name, refused) for state, names in table.items() for name, refused in names.items()]
    ids = [f"{state.__name__}-{name}" for state, name, _ in cases]
    return pytest.mark.parametrize(("state", "name", "refused"), cases, ids=ids)


def is_decided(decision: Decision, refused: set[str]) -> bool:
    return codes(decision) == refused if refused else isinstance(decision, Transition)


@pytest.mark.database("sqlite")
@every(BEGINNING)
def test_one_begins_unless_the_flag_is_off_or_held_there(
    now: datetime, change: ChangeContext, state: Put, name: str, refused: set[str]
) -> None:
    state(change)
    plan = plan_of(name.partition("@")[2], now, 40, 100)
    assert is_decided(do(rollouts.plan, name, plan, change, confirm_losing=True), refused)


@pytest.mark.database("sqlite")
@every(ADVANCING)
def test_one_advances_unless_the_flag_is_off_or_held_there(
    now: datetime, change: ChangeContext, state: Put, name: str, refused: set[str]
) -> None:
    made(name, now, change, 40, 100)
    state(change)
    version = find(name).version
    assert is_decided(do(rollouts.advance, name, change, expected_version=version, approval="Sure."), refused)


@pytest.fixture
def open_in_canary(now: datetime, change: ChangeContext) -> str:
    """The name of a rollout in canary, 40 % of whom its flag admits there itself."""
    everywhere = Plan((phase("environments", 100, named=("canary",)), phase("everyone", 10, 100)), now)
    assert isinstance(do(rollouts.plan, "RINGED", everywhere, change), Transition)
    return "RINGED@canary"


def test_one_that_admits_nobody_new_begins_while_the_flag_is_held(
    now: datetime, change: ChangeContext, open_in_canary: str
) -> None:
    do(rollouts.hold, "RINGED", change)
    assert made(open_in_canary, now, change, 40, 100).percentage == 40


def test_the_refusal_says_why_the_flag_is_held(now: datetime, change: ChangeContext) -> None:
    held(change)
    refused = do(rollouts.plan, CANARY, plan_of("canary", now, 40, 100), change)
    assert isinstance(refused, Refusal)
    assert refused.sentence == "SEARCH is held, so nobody gains the flag in canary: As agreed. Resume it first."


def test_a_hold_is_left_by_resuming_it_and_by_no_detour(
    now: datetime, change: ChangeContext, open_in_canary: str
) -> None:
    """Neither by a new attempt of the environment's own, nor by giving it back."""
    made(open_in_canary, now, change, 40, 100)
    do(rollouts.roll_back, open_in_canary, change)
    do(rollouts.hold, "RINGED", change)
    later = replace(change, now=now + timedelta(days=1))
    seen = find(open_in_canary).version
    assert codes(do(rollouts.rearm, open_in_canary, later, expected_version=seen)) == {"FLAG_HELD"}
    given = do(archive.delete, open_in_canary, later, expected_version=seen, confirm_gaining=True)
    assert codes(given) == {"FLAG_HELD"}
    do(rollouts.resume, "RINGED", later)
    assert isinstance(do(rollouts.rearm, open_in_canary, later, expected_version=seen), Transition)


def test_one_that_is_held_itself_is_not_left_by_giving_it_back(
    now: datetime, change: ChangeContext, open_in_canary: str
) -> None:
    made(open_in_canary, now, change, 40, 100)
    do(rollouts.hold, open_in_canary, change)
    given = do(archive.delete, open_in_canary, change, expected_version=2, confirm_gaining=True)
    assert codes(given) == {"FLAG_HELD"}
    do(rollouts.resume, open_in_canary, change)
    given = do(archive.delete, open_in_canary, change, expected_version=3, confirm_gaining=True)
    assert isinstance(given, Transition)


def test_whoever_holds_the_flag_first_keeps_the_environment_from_its_advance(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    made(CANARY, now, change, 40, 100)
    decisions = list[Decision]()

    def advance() -> None:
        with app.app_context():
            decisions.append(do(rollouts.advance, CANARY, change, expected_version=1))

    waiting = threading.Thread(target=advance)
    with transaction() as session:
        rollouts.hold(session, FLAG, change)
        waiting.start()
        waiting.join(0.2)
    waiting.join()
    assert codes(decisions[0]) == {"GATE_CLOSED"}
