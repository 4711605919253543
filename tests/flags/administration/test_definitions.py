"""Flags without a rollout under changes at the same moment: nothing is lost, and nothing comes back."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.administration.definitions import create_flag, delete_flag, switch_flag
from flags.administration.edits import edit_definition
from flags.administration.imports import ImportOptions, import_definitions
from tests.races import during

CHANGE = ChangeContext(datetime.now(UTC), "olga", "Because.")
QUARTER = {"name": "flexibleRollout", "parameters": {"rollout": "25", "stickiness": "default", "groupId": "plain"}}


@pytest.fixture(autouse=True)
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def make(session: Session) -> None:
    create_flag(session, "plain", {"production": True}, CHANGE)


def switch_off(session: Session) -> None:
    switch_flag(session, "plain", "production", CHANGE, enabled=False)


def edit(session: Session) -> None:
    edit_definition(session, "plain", "production", {"strategies": [QUARTER]}, CHANGE, version=1)


def test_a_switch_keeps_what_is_edited_at_the_same_moment(app: Flask) -> None:
    with transaction() as session:
        make(session)
    assert during(app, edit, switch_off) == ""
    with read_only() as session:
        wire = store.definitions_of(session, "plain")["production"]
    assert (wire["enabled"], wire["strategies"][0]["name"]) == (False, "flexibleRollout")


def test_a_switch_does_not_bring_back_what_is_removed_at_the_same_moment(app: Flask) -> None:
    with transaction() as session:
        make(session)
    assert during(app, lambda session: delete_flag(session, "plain", CHANGE), switch_off) == "FLAG_NOT_FOUND"
    with read_only() as session:
        assert store.definitions_of(session, "plain") == {}


def test_of_two_who_make_a_flag_the_second_is_refused(app: Flask) -> None:
    def off(session: Session) -> None:
        create_flag(session, "plain", {"production": False}, CHANGE)

    assert during(app, make, off) == "FLAG_EXISTS"
    with read_only() as session:
        assert store.definitions_of(session, "plain")["production"]["enabled"] is True


def plan(session: Session) -> None:
    rollouts.plan(session, "plain", default_plan(CHANGE.now), CHANGE)


def take(session: Session) -> None:
    document = {"features": [{"name": "plain", "enabled": True, "strategies": [{"name": "default"}]}]}
    import_definitions(session, "production", document, CHANGE, ImportOptions())


@pytest.mark.parametrize("define", [make, take])
def test_a_flag_is_defined_or_under_a_rollout_and_never_both(app: Flask, define: Callable[[Session], None]) -> None:
    """Archiving the rollout would otherwise bring out what was defined: on for everybody."""
    assert during(app, plan, define) == "FLAG_UNDER_ROLLOUT"
    with read_only() as session:
        assert store.definitions_of(session, "plain") == {}


@pytest.mark.parametrize("define", [make, take])
def test_neither_is_a_flag_planned_that_is_defined_at_the_same_moment(
    app: Flask, define: Callable[[Session], None]
) -> None:
    code = during(app, define, plan)
    with read_only() as session:
        assert rollout_store.load(session, "plain") is None
    assert code in ("FLAG_EXISTS", ""), "a plan that comes later is refused by a decision"
