"""Flags without a rollout: switched on and off per environment, or taken from Unleash as they are.

Everything passes the canonicaliser, so that no two engines read what we serve differently.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed
from control_plane.rollout_names import ENVIRONMENT_NAME
from control_plane.rollouts import store as rollout_store
from control_plane.rollouts.deleted import cooling_down
from flags import store
from flags.store.revisions import FLAG
from flags.unleash.canonical import (
    CONFIRM,
    Definitions,
    InvalidDefinition,
    Issue,
    canonical_definitions,
    divergent_dependencies,
    missing_parents,
    placeholders,
)
from flags.unleash.compiler import Wire

FLAGS_MAX = 10_000
FLAGS_NAMED = 5
REMOVING = ("flag.delete", "flag.restore")
"""What may take a flag out of an environment, as the audit trail has it."""


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
        raise _exists(name)
    refuse_planned(session, [name], change.now)
    made, first = {}, first_versions(session, [name])
    for environment, enabled in environments.items():
        raw = {"name": name, "description": description, "enabled": enabled, "strategies": [{"name": "default"}]}
        taken = canonical({"features": [raw]})
        check_room(session, environment, taken.features)
        # Of two who make it at the same moment the second must not replace what the first made.
        if not store.add_definition(
            session, environment, taken.features[0], actor=change.actor, now=change.now, first=first.get(name, 1)
        ):
            raise _exists(name)
        made[environment] = taken.features[0]
    # Those of a deleted flag of that name are kept for whoever restores it; this one is another flag.
    store.put_tags(session, {name: ()})
    publish(session, "create", name, change, after=made)


def switch_flag(session: Session, name: str, environment: str, change: ChangeContext, *, enabled: bool) -> None:
    """Switch a flag on or off in one environment; its strategies stay as they are."""
    # Whoever edits or removes it at this moment is waited for: all of it is written again below.
    found = store.definitions_of(session, name, lock=True)
    if environment not in found:
        raise unknown_flag(session, name, found)
    before = {environment: found[environment]["enabled"]}
    wire = {**found[environment], "enabled": enabled}
    store.put_definitions(session, environment, [wire], actor=change.actor, now=change.now)
    publish(session, "switch", name, change, before=before, after={environment: enabled})


def first_versions(session: Session, names: Sequence[str]) -> dict[str, int]:
    """Return as which version each of these flags begins where an environment lacks it; none for 1.

    Whoever saw one of that name that was removed must not change this one: no version of it was as high as the entry of
    its removal, for each has an entry.
    """
    newest = audit.newest_ids(session, [f"flag:{name}" for name in names], actions=REMOVING)
    return {subject.removeprefix("flag:"): entry for subject, entry in newest.items()}


def delete_flag(session: Session, name: str, change: ChangeContext) -> None:
    """Remove a flag from every environment; SDKs then answer with the default in their code."""
    found = store.definitions_of(session, name, lock=True)
    if not found:
        raise unknown_flag(session, name, found)
    for environment in found:
        refuse_needed(session, name, environment)
        store.delete_definition(session, environment, name)
    publish(session, "delete", name, change, before=found)


def export_definitions(session: Session, environment: str) -> dict[str, object]:
    """Return the definitions in the form that `import_definitions` takes."""
    features, segments = store.definitions(session, environment), store.segments(session, environment)
    return {"version": 2, "features": features, "segments": segments}


def findings(found: Iterable[Issue]) -> list[dict[str, str]]:
    """Return findings as JSON."""
    return [{"field": each.field, "message": each.sentence} for each in found]


def canonical(raw: object) -> Definitions:
    """Return a flag or a segment as SDKs are given it; raises Problem with every field for which it is not taken."""
    taken = canonical_definitions(raw)
    if isinstance(taken, InvalidDefinition):
        mistakes = [replace(each, field=within(each.field)) for each in taken.mistakes]
        sentences = " ".join(f"{each.field}: {each.sentence}" for each in mistakes)
        raise Problem(400, "INVALID_DEFINITION", f"It can't be taken. {sentences}"[:1000], errors=findings(mistakes))
    return taken


def within(field: str) -> str:
    """Return the place within the one flag or segment that is read."""
    return field.removeprefix("features[0].").removeprefix("segments[0].")


def dependency_refusals(
    session: Session, environment: str, features: Iterable[Wire], *, replace: bool = False
) -> dict[str, str]:
    """Return why features can't be taken beside those of `environment`: they ask for a variant that may be none."""
    new = {wire["name"]: wire for wire in features}
    stored = {} if replace else {wire["name"]: wire for wire in store.definitions(session, environment)}
    found = {}
    for name, parent in divergent_dependencies({**stored, **new}):
        detail = f"{name} depends on a variant of {parent}, which gives none to some users; engines differ on that."
        found[name if name in new else parent] = detail
    return {name: detail for name, detail in found.items() if name in new}


def orphans(
    session: Session, environment: str, features: Iterable[Wire], *, phased: Collection[str], replace: bool
) -> dict[str, str]:
    """Return why features can't be taken without a yes, by name: what they depend on is not there, so they are off.

    `phased` are the flags under a rollout.
    """
    stored = () if replace else [wire["name"] for wire in store.definitions(session, environment)]
    return {
        name: f"It depends on {parent}, which is not here, so that it would be off for everybody. {CONFIRM}"
        for name, parent in missing_parents(features, {*stored, *phased}).items()
    }


def check_dependencies(session: Session, environment: str, features: Iterable[Wire]) -> None:
    """Raise Problem where one of these would depend on what engines read differently."""
    for name, reason in dependency_refusals(session, environment, features).items():
        raise Problem(400, "INVALID_DEFINITION", reason, errors=[{"field": f"{name}.dependencies", "message": reason}])


def add_placeholders(session: Session, environment: str, taken: Definitions) -> None:
    """Store a segment that nobody is in for each one that the flag needs and the environment lacks.

    Called once the change is announced, so that a segment that is removed at the same moment is missed.
    """
    missing = placeholders(taken.features, store.segments(session, environment))
    store.put_segments(session, environment, missing)


def check_environment(environment: str) -> None:
    """Raise Problem where nobody could be served in an environment of this name."""
    if not ENVIRONMENT_NAME.fullmatch(environment):
        detail = f"The environment {environment[:50]!r} can't be used; name one, such as production."
        raise Problem(422, "INVALID_ENVIRONMENT", detail)


def check_room(session: Session, environment: str, features: Iterable[Wire]) -> None:
    """Raise Problem where `environment` would have too many flags with these."""
    names = {wire["name"] for wire in (*store.definitions(session, environment), *features)}
    if len(names) > FLAGS_MAX:
        detail = f"{environment} would have {len(names)} flags; {FLAGS_MAX} is the most. Remove some first."
        raise Problem(409, "TOO_MANY_FLAGS", detail)


def refuse_needed(session: Session, name: str, environment: str) -> None:
    """Raise Problem where flags of `environment` depend on this one: they would be off without it."""
    found = [
        wire["name"]
        for wire in store.definitions(session, environment)
        if any(each["feature"] == name for each in wire["dependencies"])
    ]
    if found:
        detail = f"Flags of {environment} depend on {name}: {listed(found)}. Change those first."
        raise Problem(409, "FLAG_IN_USE", detail, flags=found)


def listed(flags: Sequence[str]) -> str:
    """Return the first of these names, and how many more there are."""
    more = f" and {len(flags) - FLAGS_NAMED} more" if len(flags) > FLAGS_NAMED else ""
    return f"{', '.join(flags[:FLAGS_NAMED])}{more}"


def unknown_flag(session: Session, name: str, found: Iterable[str]) -> Problem:
    """Return the refusal of a flag that is not in the environment meant, but in those `found`."""
    if rollout_store.load(session, name) is not None:
        return under_rollout(name)
    there = f"; it is known in {', '.join(found)}" if found else "; check its spelling"
    return Problem(404, "FLAG_NOT_FOUND", f"There is no flag {name!r} here{there}.")


def _exists(name: str) -> Problem:
    return Problem(409, "FLAG_EXISTS", f"There is a flag called {name!r} already.")


def under_rollout(name: str) -> Problem:
    """Return the refusal of a flag that a rollout decides."""
    detail = f"{name} is under a rollout, and only the rollout decides who gets it."
    return Problem(409, "FLAG_UNDER_ROLLOUT", detail)


def refuse_planned(session: Session, names: Collection[str], now: datetime) -> None:
    """Raise Problem where one of these is under a rollout, or was until it was rolled back and deleted just now.

    Asked again once the change is announced: changes are announced one after the other, so a plan that was made at the
    same moment is seen here, or sees this change in `plan_checks.refuse_defined`.
    """
    planned = set(rollout_store.names(session))
    if found := sorted(planned.intersection(names)):
        raise under_rollout(found[0])
    for reason in cooling_down(session, names, now).values():
        raise Problem(409, reason.code, reason.sentence)


def publish(
    session: Session,
    verb: str,
    name: str,
    change: ChangeContext,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Record a change of the flag and let every process read it."""
    audit.record(session, change, action=f"flag.{verb}", subject=f"flag:{name}", before=before, after=after)
    change_feed.publish(session, FLAG, name, now=change.now)
    if after:
        refuse_planned(session, [name], change.now)
