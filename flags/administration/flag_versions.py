"""Earlier versions of a flag without a rollout, out of the audit trail, and one of them made the flag again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import Entry
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.definitions import (
    add_placeholders,
    canonical,
    check_dependencies,
    check_room,
    first_versions,
    publish,
    refuse_planned,
)
from flags.unleash.compiler import Wire

VERSIONS_MAX = 1000
State = dict[str, Wire]
"""The flag in each environment that has it."""
Known = dict[str, Wire | None]
"""The flag in each environment that the trail mentions: empty where it was absent, None where that is all it says."""


@dataclass(frozen=True, slots=True)
class FlagVersion:
    """The flag after one entry of the trail: empty where it was removed, None where the trail holds no content.

    `absent` are the environments that lacked it then; about those in neither the trail says nothing.
    """

    entry: int
    at: datetime
    actor: str
    action: str
    reason: str
    state: State | None
    absent: frozenset[str] = frozenset()


def versions(session: Session, name: str) -> list[FlagVersion]:
    """Return every version of the flag that the trail knows, the newest first."""
    entries = audit.latest(session, subject=f"flag:{name}", limit=VERSIONS_MAX)
    return list(_versions(entries[::-1]))[::-1]


def restore(session: Session, name: str, entry: int, change: ChangeContext) -> State:
    """Make the version after `entry` the flag again, in every environment, as a new change. Raises Problem.

    Where the trail never mentions the flag it stays as it is.
    """
    found = next((each for each in versions(session, name) if each.entry == entry), None)
    if found is None:
        raise Problem(404, "FLAG_VERSION_NOT_FOUND", f"The trail has no version {entry} of {name!r}.")
    if not found.state:
        detail = f"Version {entry} of {name!r} has no content to restore: it was removed, or is older than the trail."
        raise Problem(409, "FLAG_VERSION_EMPTY", detail)
    refuse_planned(session, [name], change.now)
    before, after, read = store.definitions_of(session, name, lock=True), {}, {}
    first = first_versions(session, [name])
    for environment, wire in found.state.items():
        # Read anew: what was right then may name a segment that is gone by now.
        taken = canonical({"features": [wire], "segments": store.segments(session, environment)})
        check_dependencies(session, environment, taken.features)
        check_room(session, environment, taken.features)
        store.put_definitions(session, environment, taken.features, actor=change.actor, now=change.now, first=first)
        after[environment], read[environment] = taken.features[0], taken
    for environment in before.keys() & found.absent:
        store.delete_definition(session, environment, name)
    changed = {environment: wire for environment, wire in before.items() if environment in found.absent | after.keys()}
    publish(session, "restore", name, change, before=changed, after=after)
    for environment, taken in read.items():
        add_placeholders(session, environment, taken)
    return after


def _versions(entries: Sequence[Entry]) -> Iterator[FlagVersion]:
    """Go through the entries, the earliest first."""
    known = _beginning(entries)
    for entry in entries:
        known = _after(known, entry)
        state = {environment: wire for environment, wire in known.items() if wire}
        whole = all(wire is not None for wire in known.values())
        absent = frozenset(environment for environment, wire in known.items() if wire == {})
        yield FlagVersion(entry.id, entry.at, entry.actor, entry.action, entry.reason, state if whole else None, absent)


def _beginning(entries: Sequence[Entry]) -> Known:
    """Return what was before the first of the entries: of each environment what the first to mention it replaced."""
    known: Known = {}
    for entry in entries:
        before, after = entry.before or {}, entry.after or {}
        for environment in _environments(entry) - known.keys():
            value = before.get(environment, after.get(environment))
            # A switch says whether the flag was on, and not what it was.
            known[environment] = None if isinstance(value, bool) else _wire(before, environment)
    return known


def _after(known: Known, entry: Entry) -> Known:
    """Return what is known after an entry, which holds the flag of an environment whole, or its switch alone."""
    found = dict(known)
    for environment in _environments(entry):
        after = entry.after or {}
        if isinstance(enabled := after.get(environment), bool):
            wire = found[environment]
            found[environment] = {**wire, "enabled": enabled} if wire else None
        else:
            found[environment] = _wire(after, environment)
    return found


def _wire(state: Mapping[str, object], environment: str) -> Wire:
    found = state.get(environment)
    return found if isinstance(found, dict) else {}


def _environments(entry: Entry) -> set[str]:
    """Return the environments in an entry, beside which stand tags."""
    values = [*(entry.before or {}).items(), *(entry.after or {}).items()]
    return {environment for environment, value in values if isinstance(value, dict | bool)}
