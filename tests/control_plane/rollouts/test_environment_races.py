"""Two who change a flag and one of its environments at the same moment, on both databases: one waits for the other."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import Decision, Transition
from control_plane.platform.db.database import transaction
from control_plane.rollouts import archive, losses, store
from tests.control_plane.rollouts.rings import FLAG, STAGING, codes, do, find, has, made, plan_of
from tests.races import WAITS

CANARY = f"{FLAG}@canary"

pytestmark = pytest.mark.usefixtures("ringed")


def during(app: Flask, first: Callable[[Session], object], second: Callable[[], Decision]) -> Decision:
    """Return the decision on the second, who begins while the first is not yet committed."""
    found: list[Decision] = []

    def other() -> None:
        with app.app_context():
            found.append(second())

    waiting = threading.Thread(target=other)
    with transaction() as session:
        first(session)
        waiting.start()
        waiting.join(timeout=WAITS)
    waiting.join()
    return found[0]


def test_an_advance_of_the_flag_is_refused_by_whoever_begins_an_environment(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    plan = plan_of("staging", now, 100)
    answer = during(
        app,
        lambda session: rollouts.plan(session, STAGING, plan, change, confirm_losing=True),
        lambda: do(rollouts.advance, FLAG, change, expected_version=1),
    )
    assert codes(answer) == {"VERSION_CONFLICT"}


def test_an_environment_is_given_back_to_the_flag_as_it_is_after_an_advance(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    made(CANARY, now, change, 40, 100)
    answer = during(
        app,
        lambda session: rollouts.advance(session, FLAG, change, expected_version=2),
        lambda: do(archive.delete, CANARY, change, expected_version=1, confirm_gaining=True),
    )
    assert isinstance(answer, Transition)
    assert find(FLAG).version == 4


def test_nothing_is_armed_again_past_a_rollback_of_the_flag(app: Flask, now: datetime, change: ChangeContext) -> None:
    made(CANARY, now, change, 100)
    do(rollouts.roll_back, CANARY, change)
    later = replace(change, now=now + timedelta(days=1))
    answer = during(
        app,
        lambda session: rollouts.roll_back(session, FLAG, later),
        lambda: do(rollouts.rearm, CANARY, later, expected_version=2),
    )
    assert "ROLLED_BACK" in codes(answer)
    assert not has("canary", now)


def test_a_rollback_of_the_flag_takes_what_is_armed_again_meanwhile(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    made(CANARY, now, change, 100)
    do(rollouts.roll_back, CANARY, change)
    later = replace(change, now=now + timedelta(days=1))
    during(
        app,
        lambda session: rollouts.rearm(session, CANARY, later, expected_version=2),
        lambda: do(rollouts.roll_back, FLAG, later),
    )
    assert find(CANARY).latched


@pytest.mark.parametrize("is_latched", [False, True])
def test_a_rollback_and_a_change_of_an_environment_never_wait_in_a_circle(
    app: Flask, now: datetime, change: ChangeContext, *, is_latched: bool
) -> None:
    made(CANARY, now, change, 40, 100)
    if is_latched:  # as where another alert fires a moment later, which is audited at once
        do(rollouts.roll_back, FLAG, change)
    found: list[Decision] = []

    def other() -> None:
        with app.app_context():
            found.append(do(rollouts.roll_back, FLAG, change))

    waiting = threading.Thread(target=other)
    with transaction() as session:
        store.lock(session, CANARY)
        waiting.start()
        waiting.join(timeout=WAITS)
        rollouts.hold(session, CANARY, change)
    waiting.join()
    assert found
    assert find(FLAG).latched
    assert find(CANARY).latched


def test_none_begins_beside_a_flag_that_is_archived_at_that_moment(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    do(rollouts.roll_back, FLAG, change)
    answer = during(
        app,
        lambda session: archive.archive(session, FLAG, change, expected_version=2, confirm_losing=True),
        lambda: do(rollouts.plan, STAGING, plan_of("staging", now, 100), change, confirm_losing=True),
    )
    assert codes(answer) == {"ROLLOUT_ARCHIVED"}


@pytest.mark.database("postgresql")
def test_a_rollback_waits_for_no_gate_and_no_count_of_an_environments_advance(
    app: Flask, now: datetime, change: ChangeContext
) -> None:
    """Counting those who would lose the flag takes seconds where the directory is large."""
    made(CANARY, now, change, 40, 100)

    def roll_back() -> None:
        with app.app_context():
            do(rollouts.roll_back, FLAG, change)

    def count(*_: object) -> None:
        other = threading.Thread(target=roll_back)
        other.start()
        other.join()

    losses.LOSS_QUERY.set(app, count)
    assert codes(do(rollouts.advance, CANARY, change, expected_version=1)) == {"VERSION_CONFLICT"}
    assert find(CANARY).latched
