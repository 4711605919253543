"""Stored segments as audiences: their conditions unchanged, and why no plan can have some of them."""

from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.segment import Segment
from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from flags import store
from flags.administration.plan_segments import plan_segments
from flags.administration.segments import edit_segment, read_segment
from flags.evaluation.conditions import wire_constraints
from flags.unleash.canonical.definitions import placeholders

HERE = "production"
SOME: list[dict[str, Any]] = [
    {"contextName": "plan", "operator": "NOT_IN", "values": ["free"]},
    {"contextName": "region", "operator": "STR_STARTS_WITH", "values": ["eu-"], "caseInsensitive": True},
    {"contextName": "seats", "operator": "NUM_GTE", "value": "5", "inverted": True},
    {"contextName": "version", "operator": "SEMVER_GT", "value": "1.2.3"},
]


def put(session: Session, now: datetime, name: str, constraints: list[dict[str, Any]]) -> None:
    fields = {"name": name, "constraints": constraints}
    number = len(store.segments(session, HERE)) + 1
    edit_segment(session, HERE, number, fields, ChangeContext(now, "olga", "As agreed."), version=0)


def found(app: Flask) -> list[Segment]:
    with app.app_context(), read_only() as session:
        return plan_segments(session)


def test_the_conditions_of_a_segment_are_those_of_a_plan(app: Flask, now: datetime) -> None:
    with app.app_context(), transaction() as session:
        put(session, now, "some", SOME)
        wire = read_segment(1, {"name": "some", "constraints": SOME})
    (segment,) = found(app)
    assert segment == Segment(
        HERE,
        "some",
        (
            Constraint("plan", Operator.NOT_IN, ("free",)),
            Constraint("region", Operator.STR_STARTS_WITH, ("eu-",), case_insensitive=True),
            Constraint("seats", Operator.NUM_GTE, ("5",), inverted=True),
            Constraint("version", Operator.SEMVER_GT, ("1.2.3",)),
        ),
    )
    assert wire_constraints(segment.constraints) == wire["constraints"]


@pytest.mark.parametrize(
    ("constraints", "refusal"),
    [
        ([], "it has no condition, so that everybody is in it."),
        (
            [{"contextName": "currentTime", "operator": "DATE_AFTER", "value": "2026-07-01T00:00:00.000Z"}],
            "currentTime describes a request, not a customer.",
        ),
        ([{"contextName": "plan", "operator": "IN", "values": []}], "plan IN needs a value."),
    ],
)
def test_what_no_audience_can_be_is_refused(
    app: Flask, now: datetime, constraints: list[dict[str, Any]], refusal: str
) -> None:
    with app.app_context(), transaction() as session:
        put(session, now, "odd", constraints)
    assert [each.refusal for each in found(app)] == [refusal]


def test_a_segment_that_nobody_has_written_yet_is_refused(app: Flask) -> None:
    missing = placeholders([{"name": "look", "strategies": [{"segments": [9]}]}], [])
    with app.app_context(), transaction() as session:
        store.put_segments(session, HERE, missing)
    assert [each.refusal for each in found(app)] == ["it stands where one is missing, and nobody is in it."]
