"""A segment and the flags that refer to it: what a change means for users, and both changed at the same moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.definitions import create_flag
from flags.administration.edits import edit_definition
from flags.administration.flag_versions import restore, versions
from flags.administration.segment_changes import FlagChange, segment_changes, unknown_attributes
from flags.administration.segments import (
    edit_segment,
    free_number,
    read_segment,
    remove_segment,
    segment_use,
    segment_versions,
)
from flags.snapshot import SNAPSHOTS
from flags.store import UserAttributes, upsert_users
from flags.unleash.compiler import SEGMENT_IDS_FROM
from tests.races import during

HERE = "production"
PROS = [{"contextName": "plan", "operator": "IN", "values": ["pro"]}]
ANYBODY: list[dict[str, Any]] = []
HALF = {"rollout": "50", "groupId": "half", "stickiness": "random"}


@pytest.fixture(autouse=True)
def segment(app: Flask, now: datetime) -> None:
    """Segment 3 of those on the plan pro, three users, and a flag that nobody has yet."""
    with changing(app) as session:
        users = [UserAttributes(f"u{number}", plan) for number, plan in enumerate(("pro", "free", "free"))]
        upsert_users(session, users, now=now)
        put(session, now, PROS)
        flag(session, now, "look")


@contextmanager
def changing(app: Flask) -> Iterator[Session]:
    with app.app_context(), transaction() as session:
        yield session


def change(now: datetime) -> ChangeContext:
    return ChangeContext(now, "olga", "As agreed.")


def put(session: Session, now: datetime, constraints: list[dict[str, Any]], version: int = 0, number: int = 3) -> None:
    fields = {"name": f"segment {number}", "constraints": constraints}
    edit_segment(session, HERE, number, fields, change(now), version=version)


def flag(session: Session, now: datetime, name: str, **fields: Any) -> None:
    create_flag(session, name, {HERE: True}, change(now))
    edit_definition(session, name, HERE, {"enabled": False} | fields, change(now), version=1)


def use(session: Session, now: datetime, name: str = "look") -> None:
    fields = {"enabled": True, "strategies": [{"name": "default", "segments": [3]}]}
    edit_definition(session, name, HERE, fields, change(now), version=2)


def changes(app: Flask, now: datetime, constraints: list[dict[str, Any]]) -> list[FlagChange]:
    with app.app_context(), read_only() as session:
        wire = read_segment(3, {"name": "others", "constraints": constraints})
        return segment_changes(session, SNAPSHOTS.get(), HERE, wire, now)


def test_users_are_counted_who_would_gain_or_lose_each_flag(app: Flask, now: datetime) -> None:
    with changing(app) as session:
        use(session, now)
        flag(session, now, "child", enabled=True, dependencies=[{"feature": "look"}])
        flag(session, now, "elsewhere", enabled=True)
    gain = changes(app, now, ANYBODY)
    assert gain == [FlagChange("child", gaining=2), FlagChange("look", gaining=2)]
    frees = [{"contextName": "plan", "operator": "IN", "values": ["free"]}]
    assert changes(app, now, frees)[1] == FlagChange("look", gaining=2, losing=1)
    assert changes(app, now, PROS) == [FlagChange("child"), FlagChange("look")]


def test_nobody_is_counted_where_each_request_is_drawn(app: Flask, now: datetime) -> None:
    drawn = [{"name": "flexibleRollout", "parameters": HALF, "segments": [3]}]
    with changing(app) as session:
        flag(session, now, "drawn", enabled=True, strategies=drawn)
    assert changes(app, now, ANYBODY) == [FlagChange("drawn", counted=False)]


def test_nobody_is_counted_where_a_parent_is_drawn(app: Flask, now: datetime) -> None:
    drawn = [{"name": "flexibleRollout", "parameters": HALF, "segments": [3]}]
    with changing(app) as session:
        flag(session, now, "drawn", enabled=True, strategies=drawn)
        flag(session, now, "child", enabled=True, dependencies=[{"feature": "drawn"}])
    assert changes(app, now, ANYBODY) == [FlagChange("child", counted=False), FlagChange("drawn", counted=False)]


def test_a_new_segment_has_a_number_also_beside_the_highest_that_there_is(app: Flask, now: datetime) -> None:
    with changing(app) as session:
        put(session, now, PROS, number=SEGMENT_IDS_FROM - 1)
        put(session, now, PROS, number=1)
        assert free_number(session, HERE) == 2


@pytest.mark.parametrize("environment", ["", "a b", "../qa", "x" * 51, "x" * 10_000, "qa\n"])
def test_a_segment_is_in_an_environment_that_can_be_served(app: Flask, now: datetime, environment: str) -> None:
    fields = {"name": "pros", "constraints": PROS}
    with pytest.raises(Problem) as refused, changing(app) as session:
        edit_segment(session, environment, 3, fields, change(now), version=0)
    assert refused.value.code == "INVALID_ENVIRONMENT"


def test_whoever_saw_a_segment_that_was_removed_changes_none_that_took_its_number(app: Flask, now: datetime) -> None:
    with changing(app) as session:
        put(session, now, ANYBODY, version=1)
        remove_segment(session, HERE, 3, change(now), version=2)
        put(session, now, PROS)
    for seen in (1, 2):
        with pytest.raises(Problem, match="changed meanwhile"), changing(app) as session:
            put(session, now, ANYBODY, version=seen)
    with changing(app) as session:
        put(session, now, ANYBODY, version=segment_use(session, HERE, 3).stored.version)


def test_what_the_directory_does_not_know_is_named() -> None:
    wires: list[dict[str, Any]] = [
        {"constraints": [*PROS, {"contextName": "country"}]},
        {"constraints": [{"contextName": "userId"}]},
    ]
    assert unknown_attributes(wires) == ("country",)


def test_a_segment_has_its_versions_of_this_environment_alone(app: Flask, now: datetime) -> None:
    with changing(app) as session:
        fields = {"name": "of qa", "constraints": []}
        edit_segment(session, "qa", 3, fields, change(now), version=0)
        put(session, now + timedelta(minutes=1), ANYBODY, version=1)
        remove_segment(session, HERE, 3, change(now + timedelta(minutes=2)), version=2)
        found = segment_versions(session, HERE, 3)
        assert free_number(session, HERE) == 1
        assert free_number(session, "qa") == 4
    assert [each.action for each in found] == ["segment.delete", "segment.update", "segment.create"]
    assert [each.wire and each.wire["constraints"] != [] for each in found] == [None, False, True]


def test_a_flag_that_begins_to_refer_while_a_segment_is_removed_has_a_placeholder(app: Flask, now: datetime) -> None:
    with app.app_context():
        code = during(
            app,
            lambda session: remove_segment(session, HERE, 3, change(now), version=1),
            lambda session: use(session, now),
        )
        with read_only() as session:
            found = segment_use(session, HERE, 3)
    assert code == ""
    assert (found.stored.wire["name"], found.flags) == ("missing segment 3", ("look",))


def test_a_flag_that_is_restored_while_a_segment_is_removed_brings_none_back(app: Flask, now: datetime) -> None:
    with app.app_context():
        with read_only() as session:
            first = min(each.entry for each in versions(session, "look"))
        code = during(
            app,
            lambda session: remove_segment(session, HERE, 3, change(now), version=1),
            lambda session: restore(session, "look", first, change(now)),
        )
        with read_only() as session:
            assert store.segment_versions(session, HERE) == {}
    assert code == ""


def test_a_segment_is_not_removed_while_a_flag_begins_to_refer_to_it(app: Flask, now: datetime) -> None:
    with app.app_context():
        code = during(
            app,
            lambda session: use(session, now),
            lambda session: remove_segment(session, HERE, 3, change(now), version=1),
        )
        with read_only() as session:
            assert store.segment_versions(session, HERE) == {3: 1}
    assert code == "SEGMENT_IN_USE"
