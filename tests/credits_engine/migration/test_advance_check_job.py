"""When the leader examines the next step: after each change of the rollout or the directory, and every hour."""

from datetime import timedelta

import pytest

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from credits_engine.engines.advance_check import AdvanceCheck
from credits_engine.migration import advance_check_job
from credits_engine.migration.advance_check_job import EVERY, PAUSE_PER_USER
from flags.store import UserAttributes, upsert_users
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW

SOON = NOW + timedelta(seconds=5)


@pytest.fixture
def beta(consumer: Consumer) -> Rollout:
    """A rollout whose next step lets the beta allowlist in."""
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW - timedelta(days=1), "test", "A plan."))
        return rollouts.find(session, FLAG)


def put(*users: UserAttributes, at: int = 1) -> None:
    with transaction() as session:
        upsert_users(session, users, now=NOW + timedelta(seconds=at))


def refresh(seconds: float = 5) -> AdvanceCheck | None:
    return advance_check_job.refresh(NOW + timedelta(seconds=seconds), rest=lambda: None)


def test_nothing_is_examined_where_nothing_is_planned(consumer: Consumer) -> None:
    assert refresh() is None


def test_a_result_holds_for_an_hour(beta: Rollout) -> None:
    assert refresh(0) is not None
    assert refresh(EVERY.total_seconds() / 2) is None
    assert refresh(EVERY.total_seconds()) is not None


def test_a_clock_that_was_set_back_examines_again(beta: Rollout) -> None:
    assert refresh(0) is not None
    assert refresh(-60) is not None


def test_each_change_of_the_rollout_is_examined_at_once(beta: Rollout) -> None:
    refresh(0)
    with transaction() as session:
        rollouts.hold(session, FLAG, ChangeContext(SOON, "test", "Wait."))
    found = refresh()
    assert found is not None
    assert found.version == beta.version + 1


def test_an_import_is_examined_at_once(beta: Rollout) -> None:
    first = refresh(0)
    assert first is not None
    assert (first.users, first.entering) == (0, 0)
    put(UserAttributes("ada", "free", beta=True), UserAttributes("bob", "free"))
    found = refresh()
    assert found is not None
    assert (found.users, found.entering) == (2, 1)
    assert refresh(10) is None


def test_a_user_who_joins_the_allowlist_is_examined_though_the_directory_is_as_large(beta: Rollout) -> None:
    put(UserAttributes("ada", "free"), at=-60)
    refresh(0)
    put(UserAttributes("ada", "free", beta=True))
    found = refresh()
    assert found is not None
    assert found.entering == 1


def test_an_import_that_began_before_the_last_scan_is_examined_when_it_is_stored(beta: Rollout) -> None:
    refresh(0)
    put(UserAttributes("ada", "free", beta=True), at=-30)
    assert refresh() is not None


def test_a_large_directory_rests_between_its_changes(beta: Rollout) -> None:
    put(*(UserAttributes(f"u{number}", "free") for number in range(4_000)), at=-60)
    refresh(0)
    put(UserAttributes("ada", "free"))
    rested = 4_000 * PAUSE_PER_USER.total_seconds()
    assert refresh(rested - 1) is None
    assert refresh(rested) is not None
