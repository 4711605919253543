"""The screens of segments: the list, one with its flags and versions, and the editor with what it would change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.plans import yaml_text
from dashboards.constraint_sentences import constraint_sentence
from flags.administration.queries import list_environments
from flags.administration.segment_changes import FlagChange, segment_changes, unknown_attributes
from flags.administration.segments import SegmentUse, SegmentVersion, segment_use, segment_uses, segment_versions
from flags.snapshot import SNAPSHOTS
from flags.unleash.canonical.definitions import is_placeholder
from flags.unleash.compiler import Wire

PAGE_SEGMENTS = 50
VERSIONS_SHOWN = 20
DEFAULTS: Mapping[str, object] = {"inverted": False, "caseInsensitive": False}
"""What a constraint is without saying so."""


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment in words."""

    environment: str
    number: int
    name: str
    version: int
    conditions: Sequence[str]
    flags: Sequence[str]
    plans: Sequence[str]
    """Rollouts whose plans name it; they keep the conditions that they took."""
    missing: bool
    """Whether it only stands where one is missing, so that nobody is in it."""


@dataclass(frozen=True, slots=True)
class SegmentsScreen:
    """One page of the segments that fit; a page beyond the last is the last."""

    now: datetime
    segments: Sequence[SegmentView]
    environments: Sequence[str]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """Return how many pages there are, one at least."""
        return max(1, -(-self.total // PAGE_SEGMENTS))


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version of a segment in words; without `conditions` it was removed."""

    stored: SegmentVersion
    name: str
    conditions: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class SegmentScreen:
    """One segment: who is in it, which flags use it, who changed it."""

    now: datetime
    segment: SegmentView
    yaml: str
    versions: Sequence[VersionView]


@dataclass(frozen=True, slots=True)
class PreviewView:
    """Who would gain and lose flags by a change, in words of the directory."""

    conditions: Sequence[str]
    changes: Sequence[FlagChange]
    unknown: Sequence[str]
    """Attributes that the directory does not know, so that nobody could be counted by them."""
    plans: Sequence[str]
    """Rollouts whose plans keep the conditions that they took."""


@dataclass(frozen=True, slots=True)
class SegmentForm:
    """A segment being written; version 0 is a new one."""

    now: datetime
    environment: str
    number: int | None
    version: int
    name: str
    text: str
    environments: Sequence[str] = ()
    mistakes: Sequence[str] = ()
    preview: PreviewView | None = None


def read_list(session: Session, *, text: str, environment: str, page: int, now: datetime) -> SegmentsScreen:
    """Return a page of the segments whose name, attributes, flags or rollouts hold `text`."""
    wanted = text.casefold()
    found = [each for each in segment_uses(session, environment or None) if wanted in _searched(each).casefold()]
    last = max(1, -(-len(found) // PAGE_SEGMENTS))
    page_number = min(max(1, page), last)
    listed = found[(page_number - 1) * PAGE_SEGMENTS : page_number * PAGE_SEGMENTS]
    return SegmentsScreen(now, [_view(each) for each in listed], environments(session), len(found), page_number)


def read(session: Session, environment: str, number: int, now: datetime) -> SegmentScreen:
    """Return one segment; raises Problem where there is none."""
    found = segment_use(session, environment, number)
    versions = [
        VersionView(each, str(each.wire["name"]) if each.wire else "", _conditions(each.wire) if each.wire else None)
        for each in segment_versions(session, environment, number)[:VERSIONS_SHOWN]
    ]
    return SegmentScreen(now, _view(found), constraints_text(found.stored.wire["constraints"]), versions)


def read_form(session: Session, environment: str, number: int, *, entry: int | None, now: datetime) -> SegmentForm:
    """Return the editor of a segment, with what it was after `entry` of the audit trail where that is given."""
    stored = segment_use(session, environment, number).stored
    earlier = [each.wire for each in segment_versions(session, environment, number) if each.entry == entry]
    wire = earlier[0] if earlier and earlier[0] else stored.wire
    return SegmentForm(now, environment, number, stored.version, wire["name"], constraints_text(wire["constraints"]))


def read_preview(session: Session, environment: str, wire: Wire, now: datetime) -> PreviewView:
    """Say what a segment would be, and whom the flags that refer to it would gain and lose."""
    uses = [each for each in segment_uses(session, environment) if each.stored.wire["id"] == wire["id"]]
    before = [each.stored.wire for each in uses]
    changes = segment_changes(session, SNAPSHOTS.get(), environment, wire, now)
    unknown = unknown_attributes([*before, wire]) if changes else ()
    return PreviewView(_conditions(wire), changes, unknown, [name for each in uses for name in each.plans])


def environments(session: Session) -> list[str]:
    """Return the environments that a segment can be in."""
    return [each["name"] for each in list_environments(session)]


def constraints_text(constraints: Sequence[Wire]) -> str:
    """Write constraints as the editor shows them: without what they are by themselves."""
    lean = [
        {name: value for name, value in each.items() if name not in DEFAULTS or value != DEFAULTS[name]}
        for each in constraints
    ]
    return yaml_text.dump(lean) if lean else ""


def _view(use: SegmentUse) -> SegmentView:
    wire = use.stored.wire
    return SegmentView(
        environment=use.stored.environment,
        number=wire["id"],
        name=wire["name"],
        version=use.stored.version,
        conditions=_conditions(wire),
        flags=use.flags,
        plans=use.plans,
        missing=is_placeholder(wire),
    )


def _conditions(wire: Wire) -> list[str]:
    return [constraint_sentence(each) for each in wire["constraints"]]


def _searched(use: SegmentUse) -> str:
    names = (each["contextName"] for each in use.stored.wire["constraints"])
    return " ".join((use.stored.wire["name"], str(use.stored.wire["id"]), *names, *use.flags, *use.plans))
