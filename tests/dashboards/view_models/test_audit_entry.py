"""What an entry changed, in words: parts of a list by their names, so that one that is put before them changes one."""

from datetime import UTC, datetime

import pytest

from control_plane.platform.auth.audit import AuditEntry
from dashboards.view_models.audit_entry import entry_view


def changes(before: object, after: object) -> list[tuple[str, str, str]]:
    entry = AuditEntry(
        id=1,
        at=datetime(2026, 12, 1, tzinfo=UTC),
        actor="alice",
        action="rollout.edit",
        subject="rollout:SEARCH",
        before={"plan": before},
        after={"plan": after},
        reason="A test.",
        hash="-",
    )
    return [(each.name, each.before, each.after) for each in entry_view(entry).changes]


def phase(name: object, soak: str) -> dict[str, object]:
    return {"name": name, "soak": soak}


def test_parts_with_names_are_compared_by_name() -> None:
    before = {"phases": [phase("beta", "P1D"), phase("everyone", "P2D")]}
    after = {"phases": [phase("team", "P3D"), phase("beta", "P1D"), phase("everyone", "P4D")]}
    assert changes(before, after) == [
        ("plan.phases.team.name", "none", "team"),
        ("plan.phases.team.soak", "none", "3\u202fd"),
        ("plan.phases.everyone.soak", "2\u202fd", "4\u202fd"),
    ]


@pytest.mark.parametrize("names", [("a", "a"), ("a", 1), ("a", ["b"]), ("a", None)])
def test_parts_without_names_of_their_own_are_compared_by_number(names: tuple[object, object]) -> None:
    first, second = names
    before, after = [phase(first, "P1D"), phase(second, "P1D")], [phase(first, "P1D"), phase(second, "P2D")]
    assert changes({"phases": before}, {"phases": after}) == [("plan.phases.2.soak", "1\u202fd", "2\u202fd")]
