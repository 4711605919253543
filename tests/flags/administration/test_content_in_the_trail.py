"""What changed about a flag stands in the audit trail: its whole definition, before and after, however it came."""

from datetime import datetime
from typing import Any

from flask import Flask

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from flags.administration import definitions, imports
from flags.administration.imports import ImportOptions


def feature(name: str, percentage: int) -> dict[str, Any]:
    parameters = {"rollout": str(percentage), "stickiness": "default", "groupId": name}
    return {"name": name, "enabled": True, "strategies": [{"name": "flexibleRollout", "parameters": parameters}]}


def take(app: Flask, now: datetime, *features: dict[str, Any], replace: bool = False, **more: Any) -> None:
    with app.app_context(), transaction() as session:
        change = ChangeContext(now, "olga", "As agreed.")
        raw = {"version": 2, "features": list(features), **more}
        imports.import_definitions(session, "production", raw, change, ImportOptions(replace=replace))


def entries(app: Flask) -> list[tuple[str, str, Any, Any]]:
    with app.app_context(), read_only() as session:
        found = audit.latest(session)
        assert audit.verify(session).intact
    return [(each.action, each.subject, each.before, each.after) for each in found]


def percentage(content: Any) -> str:
    value: str = content["production"]["strategies"][0]["parameters"]["rollout"]
    return value


def test_an_import_names_each_flag_that_differs_with_its_content_before_and_after(app: Flask, now: datetime) -> None:
    take(app, now, feature("a", 10), feature("b", 20))
    take(app, now, feature("a", 35), feature("b", 20))
    action, subject, before, after = entries(app)[0]
    assert (action, subject) == ("flag.update", "flag:a")
    assert (percentage(before), percentage(after)) == ("10", "35")
    assert [each[:2] for each in entries(app)].count(("flag.update", "flag:b")) == 0


def test_what_a_replacement_removes_is_kept_in_the_trail(app: Flask, now: datetime) -> None:
    take(app, now, feature("a", 10), feature("b", 20))
    take(app, now, feature("a", 10), replace=True)
    action, subject, before, after = entries(app)[0]
    assert (action, subject, after) == ("flag.delete", "flag:b", None)
    assert percentage(before) == "20"


def test_a_segment_that_differs_is_in_it_too(app: Flask, now: datetime) -> None:
    for values in (["x"], ["x", "y"]):
        constraint = {"contextName": "userId", "operator": "IN", "values": values}
        take(app, now, feature("a", 10), segments=[{"id": 7, "constraints": [constraint]}])
    action, subject, before, after = entries(app)[0]
    assert (action, subject) == ("segment.update", "segment:7")
    assert before["production"]["constraints"][0]["values"] == ["x"]
    assert after["production"]["constraints"][0]["values"] == ["x", "y"]


def test_a_deleted_flag_leaves_its_definition_behind(app: Flask, now: datetime) -> None:
    with app.app_context(), transaction() as session:
        definitions.create_flag(session, "a", {"production": True, "staging": False}, ChangeContext(now, "olga"))
        definitions.delete_flag(session, "a", ChangeContext(now, "olga"))
    (_, _, before, after), (_, _, _, made) = entries(app)
    assert after is None
    assert before == made
    assert {name: wire["enabled"] for name, wire in before.items()} == {"production": True, "staging": False}
