"""The audit trail as people read it, and what it says of the way a rollout came."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from control_plane.phases import Rollout
from control_plane.platform.auth.audit import Entry
from dashboards.filters import moment, plain

HIDDEN = ("evidence", "flag", "state_reason", "version")
"""Told elsewhere in the entry, or of no use to its reader."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that an entry changed, in words."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry: who, what, what it changed, why."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    changes: tuple[FieldChange, ...]
    hash: str


def entry_view(entry: Entry) -> EntryView:
    """An entry with only the fields that differ."""
    return EntryView(
        id=entry.id,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        reason=entry.reason,
        changes=tuple(_changes(entry.before or {}, entry.after or {})),
        hash=entry.hash,
    )


def phases_entered(rollout: Rollout, entries: Iterable[Entry]) -> dict[str, datetime]:
    """When this attempt first came to each phase, by name; `entries` come newest first."""
    entered = {rollout.phase.name: rollout.entered_at}
    for entry in entries:
        after = entry.after or {}
        if after.get("attempt") == rollout.attempt and "phase" in after:
            entered[after["phase"]] = min(entry.at, entered.get(after["phase"], entry.at))
    return entered


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> Iterable[FieldChange]:
    for name in [*after, *(name for name in before if name not in after)]:
        if name not in HIDDEN and before.get(name) != after.get(name):
            yield FieldChange(plain(name), _format(name, before.get(name)), _format(name, after.get(name)))


def _format(name: str, value: object) -> str:
    """A stored value in words; instants were stored as ISO text."""
    if value is None:
        return "none"
    return moment(datetime.fromisoformat(str(value))) if name.endswith("_at") else str(value).replace("_", " ")
