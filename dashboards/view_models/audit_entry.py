"""The audit trail as people read it, and what it says of the way a rollout came."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from alerts.analysis.verdicts import Verdict
from alerts.analysis.verdicts import from_json as verdict_from_json
from control_plane.core.phases import Rollout
from control_plane.platform.auth.audit import AuditEntry
from dashboards.badges import STYLES, badge_style
from dashboards.filters import iso_duration, moment, moments, plain
from dashboards.language import gettext
from dashboards.stored_sentences import localized_value

HIDDEN = ("evidence", "flag", "state_reason", "version")
"""Told elsewhere in the entry, or of no use to its reader."""

PROGRAM = ("guard", "schedule", "system", "credits", "rehearsal")
WORDS = ("role", "type")
"""Fields whose values are names of ours."""
NOTHING: tuple[object, ...] = (None, [], {})
GUARD_ACTIONS = ("rollout.hold", "rollout.roll_back", "rollout.step_back")
CHANGES_MAX = 40
CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that an entry changed, in words."""

    name: str
    before: str
    after: str
    was_set: bool
    """Whether there was anything before."""
    is_path: bool
    """Whether the name is a path into a document, such as `plan.phases.beta.soak`, and no label."""


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry: who, what, what it changed, why."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    is_ours: bool
    """Whether the program wrote the reason, and not a person."""
    changes: tuple[FieldChange, ...]
    hash: str


def entry_view(entry: AuditEntry) -> EntryView:
    """Return an entry with only the fields that differ."""
    return EntryView(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        reason=entry.reason,
        is_ours=entry.actor in PROGRAM,
        changes=tuple(_changes(entry.before or {}, entry.after or {})),
        hash=entry.hash,
    )


def phases_entered(rollout: Rollout, entries: Iterable[AuditEntry]) -> dict[str, datetime]:
    """Return when this attempt first came to each phase, by name; `entries` come newest first."""
    entered = {rollout.phase.name: rollout.entered_at}
    for entry in entries:
        after = entry.after or {}
        if after.get("attempt") == rollout.attempt and "phase" in after:
            entered[after["phase"]] = min(entry.at, entered.get(after["phase"], entry.at))
    return entered


def incident(rollout: Rollout, entries: Iterable[AuditEntry]) -> Verdict | None:
    """Return the verdict for which the guard put the rollout into its present state; None where it did not.

    `entries` come newest first.
    """
    for entry in entries:
        after = entry.after or {}
        if after.get("attempt") == rollout.attempt and entry.action in GUARD_ACTIONS:
            verdicts = (after.get("evidence") or {}).get("verdicts", [])
            named = [each for each in verdicts if rollout.state_reason.startswith(f"{each['alert']}: ")]
            return verdict_from_json(named[0]) if named else None
    return None


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> Iterable[FieldChange]:
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in HIDDEN:
            yield from islice(_differences((name,), before.get(name), after.get(name)), CHANGES_MAX)


def _differences(path: tuple[str, ...], before: object, after: object) -> Iterator[FieldChange]:
    """Go down to the values that differ: a definition or a plan is long, and mostly the same on both sides."""
    left, right = _children(before), _children(after)
    if not left and not right:
        if before != after:
            is_path, was_set = len(path) > 1, before is not None
            formatter, name = (_content, ".".join(path)) if is_path else (_format, plain(path[0]))
            yield FieldChange(name, formatter(path[-1], before), formatter(path[-1], after), was_set, is_path)
        return
    for name in [*right, *(name for name in left if name not in right)]:
        yield from _differences((*path, name), left.get(name), right.get(name))


def _content(_name: str, value: object) -> str:
    """Return a value of a definition or a plan as it stands there: the names of flags keep their underscores."""
    if value in NOTHING:
        return gettext("none")
    return iso_duration(json.dumps(value, ensure_ascii=False)[:CHARACTERS_MAX].strip('"'))


def _children(value: object) -> Mapping[str, object]:
    """Return the parts of a value: those of a list by their names where all have one of their own, else by number."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, list):
        return {}
    names = [each["name"] for each in value if isinstance(each, Mapping) and isinstance(each.get("name"), str)]
    is_named = len(set(names)) == len(value)
    return dict(zip(names if is_named else map(str, range(1, len(value) + 1)), value, strict=True))


def _format(name: str, value: object) -> str:
    """Return a stored value in words; instants were stored as ISO text."""
    if value in NOTHING:
        return gettext("none")
    if name == "state" and value in STYLES:
        return badge_style(str(value)).label
    text = str(value)[:CHARACTERS_MAX].replace("_", " ")
    if name in WORDS:
        return plain(str(value)).lower()
    if not name.endswith("_at"):
        return moments(localized_value(text))
    try:
        return moment(datetime.fromisoformat(str(value)))
    except ValueError:
        return text
