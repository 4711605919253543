"""How many known users have a flag: counted for whom somebody looks, by the rules that serve it, and never made up."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store
from flags.client_features import reach_counts
from flags.client_features.reach_counts import REACH_COUNTS, Reach
from flags.client_features.user_directory import user_directory
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation

NOBODY = Reach(0, 0, 0, 0.0)
USERS = [UserAttributes(f"new{number}", "free", CUTOVER + timedelta(days=1)) for number in range(400)]
TESTERS = [UserAttributes(f"tester{number}", "free", None, beta=True) for number in range(3)]


@pytest.fixture
def installation(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """An installation with 403 users, whose rollout is at half of the new signups."""
    monkeypatch.setattr(reach_counts, "REST_SECONDS", 0)
    installation = Installation(app)
    installation.plan()
    installation.users(*USERS, *TESTERS)
    installation.move(2, 2)
    with app.app_context():
        user_directory().find("new1")  # reads everybody
        yield installation


def last_count() -> Reach | None:
    with read_only() as session:
        return REACH_COUNTS.get().find(rollouts.find(session, FLAG))


def count_all() -> None:
    REACH_COUNTS.get().count(datetime.now(UTC))


def test_it_counts_by_the_rules_that_serve_the_flag(installation: Installation) -> None:
    assert last_count() is None
    count_all()
    found = last_count()
    assert found is not None
    assert found.users == 403
    assert 150 < found.reached < 250
    installation.move(3, 3)
    assert last_count() is None, "the count of another step"
    count_all()
    everybody = last_count()
    assert everybody is not None
    assert (everybody.reached, everybody.share) == (403, 1.0)


def test_nobody_has_it_while_it_is_rolled_back(installation: Installation) -> None:
    installation.roll_back()
    last_count()
    count_all()
    found = last_count()
    assert found is not None
    assert found.reached == 0


def test_nothing_is_counted_at_which_nobody_looks(installation: Installation) -> None:
    count_all()
    assert last_count() is None


def test_what_the_directory_does_not_know_is_not_guessed(installation: Installation) -> None:
    with transaction() as session:
        rollout = rollouts.find(session, FLAG)
        here = Constraint("country", Operator.IN, ("ES",))
        attributes = replace(rollout.plan.phases[2], audience=AudienceKind.ATTRIBUTES, constraints=(here,))
        plan = replace(rollout.plan, phases=(*rollout.plan.phases[:2], attributes, rollout.plan.phases[3]))
        after = replace(rollout, plan=plan, version=rollout.version + 1)
        assert store.compare_and_set(session, after, expected_version=rollout.version)
    last_count()
    count_all()
    assert last_count() is None


def test_who_comes_back_has_the_last_count_at_once_and_a_new_one_in_a_moment(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_count()
    count_all()
    installation.users(UserAttributes("late", "free", None))
    user_directory().follow(datetime.now(UTC))  # type: ignore[attr-defined]
    monkeypatch.setattr(reach_counts, "REPEAT_SECONDS", 0)
    monkeypatch.setattr(reach_counts, "SLICE_SECONDS", 0)
    with monkeypatch.context() as nobody_looks:
        nobody_looks.setattr(reach_counts, "WANTED_SECONDS", 0)
        count_all()
    assert (last_count() or NOBODY).users == 403
    for _ in range(len(USERS) // reach_counts.PAGE + 1):
        count_all()
    assert (last_count() or NOBODY).users == 404
    monkeypatch.setattr(reach_counts, "FORGOTTEN_SECONDS", 0)
    monkeypatch.setattr(reach_counts, "WANTED_SECONDS", 0)
    count_all()
    assert last_count() is None


def test_a_long_count_goes_on_where_it_stopped(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach_counts, "PAGE", 50)
    monkeypatch.setattr(reach_counts, "SLICE_SECONDS", 1e-9)  # which is over after one page
    last_count()
    for _ in range(8):
        count_all()
        assert last_count() is None
    count_all()
    found = last_count()
    assert found is not None
    assert found.users == 403
