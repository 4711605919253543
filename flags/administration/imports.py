"""Definitions from elsewhere: what can be taken is, and what can't is reported by the name of its flag.

An import that replaces everything, or is asked to, takes all or nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.auth.audit import NewEntry
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.administration.definitions import (
    add_placeholders,
    check_room,
    dependency_refusals,
    findings,
    first_versions,
    orphans,
    refuse_planned,
    under_rollout,
)
from flags.administration.segment_clashes import segment_clashes
from flags.store.revisions import FLAG
from flags.unleash.canonical import CONFIRM, Definitions, InvalidDefinition, Issue, Refusal, acceptable_definitions
from flags.unleash.compiler import Wire
from flags.unleash.delta import MalformedEvent, apply_events
from flags.unleash.export_file import ExportedFlags, MalformedExport, client_features, without_archived

PARTS = ("features", "segments")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an import treats what is there, what can't be taken, and what would move users."""

    replace: bool = False
    """Put everything in the place of all that is there."""
    all_or_nothing: bool = False
    confirm_moving: bool = False
    """Take flags whose repair gives them to other users than before."""

    @property
    def whole(self) -> bool:
        """Return whether one refusal refuses everything."""
        return self.replace or self.all_or_nothing


def import_definitions(
    session: Session, environment: str, raw: object, change: ChangeContext, options: ImportOptions
) -> Definitions:
    """Take features and segments as Unleash writes them, exports them, or as events that lead to them.

    What was repaired and what was refused is in the answer. Raises Problem where nothing is taken.
    """
    raw, exported, taken = _examine(session, environment, raw, options)
    before, segments_before = _by_name(session, environment), _segments_by_id(session, environment)
    if options.replace:
        names, numbers = {wire["name"] for wire in taken.features}, {wire["id"] for wire in taken.segments}
        store.clear(session, environment, but=names, but_segments=numbers)
    check_room(session, environment, taken.features)
    segments = taken.segments if options.replace else _segments(session, environment, raw, taken)
    _put(session, environment, taken.features, segments, change)
    if exported.document:
        store.put_tags(session, {wire["name"]: exported.tags.get(wire["name"], ()) for wire in taken.features})
    entry = NewEntry(
        "flag.import",
        f"environment:{environment}",
        {"flags": len(before)},
        {"flags": len(taken.features), "refused": len(taken.refusals), "replaced_all": options.replace},
    )
    changes = [
        *_content_changes("segment", environment, segments_before, _segments_by_id(session, environment)),
        *_content_changes("flag", environment, before, _by_name(session, environment)),
    ]
    audit.record_each(session, change, [entry, *changes])
    change_feed.publish(session, FLAG, environment, now=change.now)
    refuse_planned(session, [wire["name"] for wire in taken.features], change.now)
    add_placeholders(session, environment, taken)
    return taken


def preview_import(session: Session, environment: str, raw: object, options: ImportOptions) -> Definitions:
    """Return what `import_definitions` would take and refuse; nothing is changed. Raises Problem as it does."""
    _, _, taken = _examine(session, environment, raw, options)
    if not options.replace:
        check_room(session, environment, taken.features)
    return taken


def repairs(found: Iterable[Issue]) -> list[dict[str, str]]:
    """Return repairs as JSON, each with the flag or the segment that it is about."""
    issues = list(found)
    return [{"flag": issue.name, **document} for issue, document in zip(issues, findings(issues), strict=True)]


def refusals(found: Iterable[Refusal]) -> list[dict[str, str]]:
    """Return refusals as JSON, an entry for each reason."""
    return [{"flag": each.name, **reason} for each in found for reason in findings(each.mistakes)]


def _examine(
    session: Session, environment: str, raw: object, options: ImportOptions
) -> tuple[object, ExportedFlags, Definitions]:
    """Return the document as client features, what an export says besides, and what of it can be taken."""
    raw, archived = without_archived(raw)
    raw, exported = _read(session, environment, raw)
    taken = _acceptable(session, environment, raw, exported, options)
    left_out = tuple(Issue(name, "It is archived, so it is left out.", name=name) for name in archived)
    return raw, exported, replace(taken, repairs=(*left_out, *taken.repairs))


def _read(session: Session, environment: str, raw: object) -> tuple[object, ExportedFlags]:
    """Return the document as client features, with what an export says besides."""
    try:
        found = client_features(apply_events(raw), environment, store.segments(session, environment))
    except (MalformedEvent, MalformedExport) as malformed:
        raise Problem(400, "INVALID_DEFINITION", str(malformed)) from malformed
    # Such as one environment of a feature: with `replace` it would take everything away.
    if isinstance(found, Mapping) and not any(part in found for part in PARTS):
        detail = "The document has neither features nor segments; where there are none, give empty lists."
        raise Problem(400, "INVALID_DEFINITION", detail)
    return (found.document, found) if isinstance(found, ExportedFlags) else (found, ExportedFlags({}))


def _acceptable(
    session: Session, environment: str, raw: object, exported: ExportedFlags, options: ImportOptions
) -> Definitions:
    taken = acceptable_definitions(raw, confirm_moving=options.confirm_moving)
    if isinstance(taken, InvalidDefinition):
        raise _invalid(taken)
    rollout_flags = set(rollout_store.names(session)) & {wire["name"] for wire in taken.features}
    refused = {each.name: each for each in taken.refusals}
    refused |= {name: Refusal(name, (Issue(name, reason),)) for name, reason in exported.refused.items()}
    refused |= {name: Refusal(name, (Issue(name, under_rollout(name).detail),)) for name in rollout_flags}
    clashing = {} if options.replace or options.confirm_moving else segment_clashes(session, environment, taken)
    unordered = (
        {} if options.confirm_moving else {name: f"{each} {CONFIRM}" for name, each in exported.unordered.items()}
    )
    refused |= {name: Refusal(name, (Issue(name, reason),)) for name, reason in (clashing | unordered).items()}
    features = tuple(wire for wire in taken.features if wire["name"] not in refused)
    divergent = dependency_refusals(session, environment, features, replace=options.replace)
    refused |= {name: Refusal(name, (Issue(f"{name}.dependencies", reason),)) for name, reason in divergent.items()}
    features = tuple(wire for wire in features if wire["name"] not in divergent)
    if not options.confirm_moving:
        lost = orphans(
            session, environment, features, rollout_flags=rollout_store.names(session), replace=options.replace
        )
        refused |= {name: Refusal(name, (Issue(f"{name}.dependencies", reason),)) for name, reason in lost.items()}
        features = tuple(wire for wire in features if wire["name"] not in lost)
    if refused and (options.whole or not features):
        if rollout_flags == refused.keys():
            raise under_rollout(min(rollout_flags))
        raise _invalid(InvalidDefinition(tuple(mistake for each in refused.values() for mistake in each.mistakes)))
    segments = tuple(wire for wire in taken.segments if f"segment {wire['id']}" not in refused)
    return replace(taken, features=features, segments=segments, refusals=tuple(refused.values()))


def _invalid(found: InvalidDefinition) -> Problem:
    detail = f"The definitions can't be imported. {found}"
    return Problem(400, "INVALID_DEFINITION", detail[:1000], errors=findings(found.mistakes))


def _segments(session: Session, environment: str, raw: object, taken: Definitions) -> list[Wire]:
    """Return the segments to store: one that stands in for a missing segment must not replace that segment itself."""
    stored = {wire["id"] for wire in store.segments(session, environment)}
    listed = raw.get("segments") if isinstance(raw, Mapping) else None
    given = {str(wire.get("id")) for wire in listed or () if isinstance(wire, Mapping)}
    return [wire for wire in taken.segments if str(wire["id"]) in given or wire["id"] not in stored]


def _put(
    session: Session, environment: str, features: Sequence[Wire], segments: Sequence[Wire], change: ChangeContext
) -> None:
    """Store these; what is new begins as a version that nobody can have seen of one that was removed."""
    known = store.segment_versions(session, environment)
    numbers = [wire["id"] for wire in segments if wire["id"] not in known]
    newest = audit.newest_ids(session, [f"segment:{number}" for number in numbers], actions=["segment.delete"])
    first = {number: newest.get(f"segment:{number}", 1) for number in numbers}
    store.put_segments(session, environment, segments, first=first)
    there = _by_name(session, environment)
    new = first_versions(session, [wire["name"] for wire in features if wire["name"] not in there])
    store.put_definitions(session, environment, features, actor=change.actor, now=change.now, first=new)


def _by_name(session: Session, environment: str) -> dict[str, Wire]:
    return {wire["name"]: wire for wire in store.definitions(session, environment)}


def _segments_by_id(session: Session, environment: str) -> dict[str, Wire]:
    return {str(wire["id"]): wire for wire in store.segments(session, environment)}


def _content_changes(
    kind: str, environment: str, before: Mapping[str, Wire], after: Mapping[str, Wire]
) -> list[NewEntry]:
    """Return an entry for each flag or segment that differs, with all of it before and after."""
    return [
        NewEntry(
            f"{kind}.{'update' if name in before and name in after else 'create' if name in after else 'delete'}",
            f"{kind}:{name}",
            {environment: before[name]} if name in before else None,
            {environment: after[name]} if name in after else None,
        )
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
