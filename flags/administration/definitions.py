"""Flags without a rollout: switched on and off per environment, or taken from Unleash as they are.

Everything passes the canonicaliser, so that no two engines read what we serve differently.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import Subject
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.store.revisions import FLAG
from flags.unleash.canonical import Definitions, InvalidDefinition, Issue, canonical_definitions
from flags.unleash.compiler import Wire
from flags.unleash.delta import MalformedEvent, apply_events

FLAGS_MAX = 5000


def create_flag(
    session: Session,
    name: str,
    environments: Mapping[str, bool],
    change: ChangeContext,
    *,
    description: str = "",
) -> None:
    """Make a flag that is on or off for everybody in each of `environments`; raises Problem where it exists."""
    if store.definitions_of(session, name):
        raise Problem(409, "FLAG_EXISTS", f"There is a flag called {name!r} already.")
    made = {}
    for environment, enabled in environments.items():
        raw = {"name": name, "description": description, "enabled": enabled, "strategies": [{"name": "default"}]}
        taken = take({"features": [raw]}, session)
        check_room(session, environment, taken.features)
        store.put_definitions(session, environment, taken.features, actor=change.actor, now=change.now)
        made[environment] = taken.features[0]
    publish(session, "create", name, change, after=made)


def switch_flag(session: Session, name: str, environment: str, change: ChangeContext, *, enabled: bool) -> None:
    """Switch a flag on or off in one environment; its strategies stay as they are."""
    found = store.definitions_of(session, name)
    if environment not in found:
        raise _unknown(session, name, found)
    before = {environment: found[environment]["enabled"]}
    wire = {**found[environment], "enabled": enabled}
    store.put_definitions(session, environment, [wire], actor=change.actor, now=change.now)
    publish(session, "switch", name, change, before=before, after={environment: enabled})


def delete_flag(session: Session, name: str, change: ChangeContext) -> None:
    """Remove a flag from every environment; SDKs then answer with the default in their code."""
    found = store.definitions_of(session, name)
    if not found:
        raise _unknown(session, name, found)
    for environment in found:
        store.delete_definition(session, environment, name)
    publish(session, "delete", name, change, before=found)


def import_definitions(
    session: Session, environment: str, raw: object, change: ChangeContext, *, replace: bool
) -> Definitions:
    """Take features and segments as Unleash writes them, or the events that lead to them, besides what is there or
    in its place; what was repaired is in the answer. Raises Problem naming every field for which they are not taken.
    """
    try:
        raw = apply_events(raw)
    except MalformedEvent as malformed:
        raise Problem(400, "INVALID_DEFINITION", str(malformed)) from malformed
    taken = take(raw, session)
    before, segments_before = _by_name(session, environment), _segments_by_id(session, environment)
    if replace:
        store.clear(session, environment)
    check_room(session, environment, taken.features)
    store.put_segments(session, environment, _segments(session, environment, raw, taken))
    store.put_definitions(session, environment, taken.features, actor=change.actor, now=change.now)
    after = _by_name(session, environment)
    entry = Subject(
        "flag.import",
        f"environment:{environment}",
        {"flags": len(before)},
        {"flags": len(taken.features), "replaced_all": replace},
    )
    changes = [
        *_content_changes("segment", environment, segments_before, _segments_by_id(session, environment)),
        *_content_changes("flag", environment, before, after),
    ]
    audit.record_each(session, change, [entry, *changes])
    change_feed.publish(session, FLAG, environment, now=change.now)
    return taken


def export_definitions(session: Session, environment: str) -> dict[str, object]:
    """Return the definitions in the form that `import_definitions` takes."""
    features, segments = store.definitions(session, environment), store.segments(session, environment)
    return {"version": 2, "features": features, "segments": segments}


def findings(found: Iterable[Issue]) -> list[dict[str, str]]:
    """Findings as JSON."""
    return [{"field": each.field, "message": each.sentence} for each in found]


def take(raw: object, session: Session) -> Definitions:
    """Return the definitions in the form that every SDK reads alike. Raises Problem, also for one under a rollout."""
    taken = canonical_definitions(raw)
    if isinstance(taken, InvalidDefinition):
        detail = f"The definitions can't be imported. {taken}"
        raise Problem(400, "INVALID_DEFINITION", detail[:1000], errors=findings(taken.mistakes))
    under_rollout = {rollout.flag for rollout in rollout_store.load_all(session)}
    for wire in taken.features:
        if wire["name"] in under_rollout:
            raise _under_rollout(wire["name"])
    return taken


def _segments(session: Session, environment: str, raw: object, taken: Definitions) -> list[Wire]:
    """The segments to store: one that stands in for a missing segment must not replace that segment itself."""
    stored = {wire["id"] for wire in store.segments(session, environment)}
    listed = raw.get("segments") if isinstance(raw, Mapping) else None
    given = {str(wire.get("id")) for wire in listed or () if isinstance(wire, Mapping)}
    return [wire for wire in taken.segments if str(wire["id"]) in given or wire["id"] not in stored]


def check_room(session: Session, environment: str, features: Iterable[Wire]) -> None:
    """Raise Problem where the environment would have too many flags."""
    names = {wire["name"] for wire in (*store.definitions(session, environment), *features)}
    if len(names) > FLAGS_MAX:
        detail = f"{environment} would have {len(names)} flags; {FLAGS_MAX} is the most. Remove some first."
        raise Problem(409, "TOO_MANY_FLAGS", detail)


def _by_name(session: Session, environment: str) -> dict[str, Wire]:
    return {wire["name"]: wire for wire in store.definitions(session, environment)}


def _segments_by_id(session: Session, environment: str) -> dict[str, Wire]:
    return {str(wire["id"]): wire for wire in store.segments(session, environment)}


def _content_changes(
    kind: str, environment: str, before: Mapping[str, Wire], after: Mapping[str, Wire]
) -> list[Subject]:
    """Return an entry for each flag or segment that differs, with all of it before and after."""
    return [
        Subject(
            f"{kind}.{'update' if name in before and name in after else 'create' if name in after else 'delete'}",
            f"{kind}:{name}",
            {environment: before[name]} if name in before else None,
            {environment: after[name]} if name in after else None,
        )
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _unknown(session: Session, name: str, found: Mapping[str, Wire]) -> Problem:
    if rollout_store.load(session, name) is not None:
        return _under_rollout(name)
    there = f"; it is known in {', '.join(found)}" if found else "; check its spelling"
    return Problem(404, "FLAG_NOT_FOUND", f"There is no flag {name!r} here{there}.")


def _under_rollout(name: str) -> Problem:
    detail = f"{name} is under a rollout, and only the rollout decides who gets it."
    return Problem(409, "FLAG_UNDER_ROLLOUT", detail)


def publish(
    session: Session,
    verb: str,
    name: str,
    change: ChangeContext,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Audit a change of a flag and announce it."""
    stripped = replace(change, reason=change.reason.strip())
    audit.record(session, stripped, action=f"flag.{verb}", subject=f"flag:{name}", before=before, after=after)
    change_feed.publish(session, FLAG, name, now=change.now)
