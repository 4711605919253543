"""Segments: listed with the flags that refer to them, changed and removed by whoever saw their latest version."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed
from control_plane.rollouts.segments import plans_by_segment
from flags import store
from flags.administration.definitions import canonical, check_environment, listed
from flags.store import StoredSegment
from flags.store.revisions import FLAG
from flags.unleash.compiler import SEGMENT_IDS_FROM, Wire

VERSIONS_MAX = 200


@dataclass(frozen=True, slots=True)
class SegmentUse:
    """A segment of an environment, the flags there that refer to it, and the rollouts whose plans name it."""

    stored: StoredSegment
    flags: tuple[str, ...]
    plans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentVersion:
    """A segment after one entry of the audit trail; `wire` is None where that removed it."""

    entry: int
    at: datetime
    actor: str
    action: str
    reason: str
    wire: Wire | None


def segment_uses(session: Session, environment: str | None = None) -> list[SegmentUse]:
    """Return the segments of an environment, or of all, each with the flags and plans that refer to it."""
    found = store.stored_segments(session, environment)
    users: dict[tuple[str, int], list[str]] = {}
    for (place, name), feature in store.every_definition(session).items() if found else ():
        for number in segment_ids(feature):
            users.setdefault((place, number), []).append(name)
    plans = plans_by_segment(session) if found else {}
    return [
        SegmentUse(
            each,
            tuple(users.get((each.environment, each.wire["id"]), ())),
            tuple(plans.get((each.environment, each.wire["name"]), ())),
        )
        for each in found
    ]


def list_segments(session: Session, environment: str) -> list[dict[str, object]]:
    """Return the segments of an environment as JSON."""
    return [
        {**each.stored.wire, "version": each.stored.version, "flags": list(each.flags), "plans": list(each.plans)}
        for each in segment_uses(session, environment)
    ]


def segment_use(session: Session, environment: str, number: int) -> SegmentUse:
    """Return one segment; raises Problem where there is none of this number."""
    found = next((each for each in segment_uses(session, environment) if each.stored.wire["id"] == number), None)
    if found is None:
        raise Problem(404, "SEGMENT_NOT_FOUND", f"{environment} has no segment {number}.")
    return found


def segment_versions(session: Session, environment: str, number: int) -> list[SegmentVersion]:
    """Return what the audit trail knows of a segment, the newest first."""
    entries = audit.latest(session, subject=_subject(number), limit=VERSIONS_MAX)
    return [
        SegmentVersion(each.id, each.at, each.actor, each.action, each.reason, (each.after or {}).get(environment))
        for each in entries
        # Segments of other environments may have the same number.
        if environment in {**(each.before or {}), **(each.after or {})}
    ]


def free_number(session: Session, environment: str) -> int:
    """Return a number that no segment of `environment` has."""
    taken = store.segment_versions(session, environment).keys()
    following = max(taken, default=0) + 1
    # An import may have brought the highest number that there is.
    return following if following < SEGMENT_IDS_FROM else next(each for each in count(1) if each not in taken)


def edit_segment(
    session: Session,
    environment: str,
    number: int,
    fields: Mapping[str, object],
    change: ChangeContext,
    *,
    version: int,
) -> None:
    """Change a segment, or add one with version 0. One that plans name keeps its name."""
    check_environment(environment)
    wire = read_segment(number, fields)
    before = {each["id"]: each for each in store.segments(session, environment)}.get(number)
    # Where one of this number was removed, whoever saw that one must not change this: no version of it was as high as
    # the entry of its removal, for each has an entry.
    earlier = [] if version else segment_versions(session, environment, number)
    first = earlier[0].entry if earlier else 1
    if not store.replace_segment(session, environment, wire, expected_version=version, first=first):
        raise _conflict(session, environment, number, version)
    _publish(session, environment, number, change, before=before, after=wire)
    if before is not None and before["name"] != wire["name"]:
        _check_plans(session, environment, before["name"])


def read_segment(number: int, fields: Mapping[str, object]) -> Wire:
    """Return a segment as SDKs are given it; raises Problem with every field for which it is not taken."""
    (wire,) = canonical({"segments": [{"id": number, **fields}]}).segments
    return wire


def remove_segment(session: Session, environment: str, number: int, change: ChangeContext, *, version: int) -> None:
    """Remove a segment that no flag refers to and no plan names; raises Problem with those that do."""
    before = segment_use(session, environment, number)
    if not store.delete_segment(session, environment, number, version=version):
        raise _conflict(session, environment, number, version)
    _publish(session, environment, number, change, before=before.stored.wire, after=None)
    # Asked once it is announced: changes are announced one after the other, so a flag that began to refer to it at the
    # same moment is seen here, or sees that it is gone and puts a placeholder there.
    names = [wire["name"] for wire in store.definitions(session, environment) if number in segment_ids(wire)]
    if names:
        raise _in_use(before.stored.wire["name"], environment, names)
    _check_plans(session, environment, before.stored.wire["name"])


def segment_ids(feature: Wire) -> set[int]:
    """Return the segments that a flag refers to."""
    return {number for strategy in feature["strategies"] for number in strategy.get("segments") or ()}


def _publish(
    session: Session, environment: str, number: int, change: ChangeContext, *, before: Wire | None, after: Wire | None
) -> None:
    verb = "create" if before is None else "update" if after is not None else "delete"
    audit.record(
        session,
        change,
        action=f"segment.{verb}",
        subject=_subject(number),
        before={environment: before} if before else None,
        after={environment: after} if after else None,
    )
    change_feed.publish(session, FLAG, environment, now=change.now)


def _subject(number: int) -> str:
    return f"segment:{number}"


def _conflict(session: Session, environment: str, number: int, version: int) -> Problem:
    detail = f"Segment {number} of {environment} was changed meanwhile. You saw version {version}."
    present = store.segment_versions(session, environment).get(number, 0)
    return Problem(409, "VERSION_CONFLICT", f"{detail} Look again and repeat your change.", version=present)


def _check_plans(session: Session, environment: str, name: str) -> None:
    """Raise Problem where plans name a segment that is gone: nobody loses a flag, but none could be applied again."""
    if any(wire["name"] == name for wire in store.segments(session, environment)):
        return
    if plans := plans_by_segment(session).get((environment, name)):
        detail = f"Plans name {name!r}: {listed(plans)}. Write its conditions into those first."
        raise Problem(409, "SEGMENT_IN_PLANS", detail, plans=plans)


def _in_use(name: str, environment: str, flags: Iterable[str]) -> Problem:
    users = sorted(flags)
    detail = f"Flags of {environment} refer to {name!r}: {listed(users)}. Change those first."
    return Problem(409, "SEGMENT_IN_USE", detail, flags=users)
