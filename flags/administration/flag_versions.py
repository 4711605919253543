"""Earlier versions of a flag without a rollout, out of the audit trail, and one of them made the flag again."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import Entry
from control_plane.platform.problems import Problem
from flags import store
from flags.administration.definitions import canonical, check_room, publish
from flags.unleash.compiler import Wire

VERSIONS_MAX = 1000
State = dict[str, Wire]
"""The flag in each environment that has it."""


@dataclass(frozen=True, slots=True)
class FlagVersion:
    """The flag after one entry of the trail: empty where it was removed, None where the trail holds no content."""

    entry: int
    at: datetime
    actor: str
    action: str
    reason: str
    state: State | None


def versions(session: Session, name: str) -> list[FlagVersion]:
    """Return every version of the flag that the trail knows, the newest first."""
    entries = audit.latest(session, subject=f"flag:{name}", limit=VERSIONS_MAX)
    return list(_versions(reversed(entries)))[::-1]


def restore(session: Session, name: str, entry: int, change: ChangeContext) -> State:
    """Make the version after `entry` the flag again, in every environment, as a new change. Raises Problem."""
    found = next((each for each in versions(session, name) if each.entry == entry), None)
    if found is None:
        raise Problem(404, "FLAG_VERSION_NOT_FOUND", f"The trail has no version {entry} of {name!r}.")
    if not found.state:
        detail = f"Version {entry} of {name!r} has no content to restore: it was removed, or is older than the trail."
        raise Problem(409, "FLAG_VERSION_EMPTY", detail)
    before, after = store.definitions_of(session, name), {}
    for environment, wire in found.state.items():
        # Read anew: what was right then may name a segment that is gone by now.
        taken = canonical({"features": [wire], "segments": store.segments(session, environment)}, session)
        check_room(session, environment, taken.features)
        store.put_definitions(session, environment, taken.features, actor=change.actor, now=change.now)
        after[environment] = taken.features[0]
    for environment in before.keys() - after.keys():
        store.delete_definition(session, environment, name)
    publish(session, "restore", name, change, before=before, after=after)
    return after


def _versions(entries: Iterable[Entry]) -> Iterable[FlagVersion]:
    state: State | None = {}
    for entry in entries:
        state = _after(state, entry.before or {}, entry.after or {})
        yield FlagVersion(entry.id, entry.at, entry.actor, entry.action, entry.reason, state)


def _after(state: State | None, before: Mapping[str, object], after: Mapping[str, object]) -> State | None:
    """Return the state after an entry that says what it replaced, by environment: whole, or switched on or off."""
    known = {environment: wire for environment, wire in (state or {}).items() if environment not in before}
    for environment, value in after.items():
        if isinstance(value, bool):
            if not state or environment not in state:
                return None  # only the switch is in the trail, and not what was switched
            known[environment] = {**state[environment], "enabled": value}
        elif isinstance(value, dict):
            known[environment] = value
    return known
