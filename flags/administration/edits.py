"""Changes of one flag without a rollout, by whoever saw its latest version.

Whatever an edit leaves out stays. The audit trail has all of it before and after.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.definitions import (
    add_placeholders,
    canonical,
    check_dependencies,
    check_room,
    findings,
    first_versions,
    publish,
    refuse_needed,
    unknown_flag,
    within,
)
from flags.unleash.canonical import Definitions, Issue
from flags.unleash.compiler import Wire

SHARED = ("type", "project", "description", "stale", "impressionData")
"""What is the same in every environment."""
DECIDING = ("enabled", "strategies", "variants", "dependencies")
"""What each environment has of its own: it decides who has the flag."""


def edit_definition(
    session: Session,
    name: str,
    environment: str,
    fields: Mapping[str, object],
    change: ChangeContext,
    *,
    version: int,
    confirm_moving: bool = False,
) -> list[dict[str, str]]:
    """Change a flag in one environment, or add it there with version 0; return what was repaired.

    Raises Problem where it was changed meanwhile, and with every field for which it is not taken.
    """
    found = store.stored_definitions(session, name)
    before = found.get(environment)
    if not found or (before is None and version):
        raise unknown_flag(session, name, found)
    if (before.version if before else 0) != version:
        raise _conflict(f"{name} in {environment}", version, before.version if before else 0)
    base: Wire = before.feature if before else _elsewhere(found)
    taken = canonical({"features": [{**base, **fields}]})
    _refuse_moving(taken, confirm_moving=confirm_moving)
    (wire,) = taken.features
    check_dependencies(session, environment, taken.features)
    if before is None:
        check_room(session, environment, taken.features)
        first = first_versions(session, [name]).get(name, 1)
        stored = store.add_definition(session, environment, wire, actor=change.actor, now=change.now, first=first)
    else:
        stored = store.replace_definition(
            session, environment, wire, expected_version=version, actor=change.actor, now=change.now
        )
    if not stored:
        raise _conflict(f"{name} in {environment}", version, None)
    earlier = {environment: before.feature} if before else None
    publish(session, "update" if before else "create", name, change, before=earlier, after={environment: wire})
    add_placeholders(session, environment, taken)
    return findings(_within(taken.repairs))


def remove_definition(session: Session, name: str, environment: str, change: ChangeContext, *, version: int) -> None:
    """Remove a flag from one environment; its SDKs then answer with the default in their code."""
    found = store.stored_definitions(session, name)
    before = found.get(environment)
    if before is None:
        raise unknown_flag(session, name, found)
    refuse_needed(session, name, environment)
    if not store.delete_definition(session, environment, name, version=version):
        raise _conflict(f"{name} in {environment}", version, before.version)
    publish(session, "delete", name, change, before={environment: before.feature})


def edit_flag(
    session: Session,
    name: str,
    fields: Mapping[str, object],
    change: ChangeContext,
    *,
    versions: Mapping[str, int],
    tags: list[str] | None = None,
) -> None:
    """Change what a flag has in common everywhere: its type, project, description, marks and tags."""
    found = store.stored_definitions(session, name)
    if not found:
        raise unknown_flag(session, name, found)
    if versions != {environment: each.version for environment, each in found.items()}:
        raise _conflict(name, None, None)
    before: dict[str, object] = {}
    after: dict[str, object] = {}
    for environment, stored in found.items():
        (wire,) = canonical({"features": [{**stored.feature, **fields}]}).features
        if wire != stored.feature and not store.replace_definition(
            session, environment, wire, expected_version=stored.version, actor=change.actor, now=change.now
        ):
            raise _conflict(f"{name} in {environment}", stored.version, None)
        # Whole, so that the trail holds every version of it.
        before[environment], after[environment] = stored.feature, wire
    if tags is not None:
        before |= {"tags": tag_texts(store.tags(session).get(name, ()))}
        store.put_tags(session, {name: map(tag_of, tags)})
        after |= {"tags": tag_texts(store.tags(session).get(name, ()))}
    publish(session, "update", name, change, before=before, after=after)


def tag_of(text: str) -> store.Tag:
    """Return the tag that is written `type:value`; a value alone is `simple`, as in Unleash."""
    kind, colon, value = text.partition(":")
    return (kind, value) if colon else ("simple", kind)


def tag_texts(tags: tuple[store.Tag, ...]) -> list[str]:
    """Return tags as they are written."""
    return [f"{kind}:{value}" for kind, value in tags]


def _elsewhere(found: Mapping[str, store.StoredDefinition]) -> Wire:
    """Return the flag as an environment without it begins: what is shared, off, for everybody."""
    shared = next(iter(found.values())).feature
    return {**_shared(shared), "name": shared["name"], "enabled": False, "strategies": [{"name": "default"}]}


def _shared(wire: Wire) -> dict[str, object]:
    return {name: wire[name] for name in SHARED if name in wire}


def _refuse_moving(taken: Definitions, *, confirm_moving: bool) -> None:
    moving = [repair for repair in taken.repairs if repair.moves and not repair.respells]
    if moving and not confirm_moving:
        detail = f"A repair would move users: {moving[0].sentence} Confirm it with confirmMoving."
        raise Problem(409, "USERS_WOULD_MOVE", detail, errors=findings(_within(moving)))


def _within(found: Iterable[Issue]) -> list[Issue]:
    return [replace(each, field=within(each.field)) for each in found]


def _conflict(subject: str, version: int | None, present: int | None) -> Problem:
    hint = "" if version is None else f" You saw version {version}."
    detail = f"{subject} was changed meanwhile.{hint} Look again and repeat your change."
    return Problem(409, "VERSION_CONFLICT", detail, version=present)
