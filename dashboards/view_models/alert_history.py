"""What became of one alert, by the audit trail: when the guard acted on it, and when people overruled it. Pure."""

from collections.abc import Sequence

from control_plane.platform.auth.audit import AuditEntry
from dashboards.view_models.audit_entry import GUARD_ACTIONS, EntryView, entry_view

ENTRIES_MAX = 8


def history(entries: Sequence[AuditEntry], alert: str) -> tuple[EntryView, ...]:
    """Return the newest of the entries about a rollout that are about one of its alerts; they come newest first."""
    found = [entry for entry in entries if _concerns(entry, alert)]
    return tuple(entry_view(entry) for entry in found[:ENTRIES_MAX])


def _concerns(entry: AuditEntry, alert: str) -> bool:
    if entry.action in GUARD_ACTIONS:
        return entry.reason.startswith(f"{alert}: ")
    return (entry.after or {}).get("alert") == alert
