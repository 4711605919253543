"""The whole trail is checked in parts, and its outcome is there for pages that can't wait for it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit, audit_check
from control_plane.platform.db.database import read_only, transaction
from tests import tampering


@pytest.fixture(autouse=True)
def trail(app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ten entries, of which three are checked at a time."""
    monkeypatch.setattr(audit_check, "PART", 3)
    with app.app_context():
        with transaction() as session:
            for number in range(10):
                audit.record(session, ChangeContext(now, "alice", f"{number}"), action="test", subject="x")
        yield


def outcome() -> tuple[audit.Verification, datetime] | None:
    with read_only() as session:
        assert not audit_check.is_short(session)
        return audit_check.last(session)


def test_a_pass_ends_when_every_part_was_checked(now: datetime) -> None:
    for _ in range(3):
        audit_check.check_part(now)
        assert outcome() is None
    audit_check.check_part(now + timedelta(seconds=40))
    found = outcome()
    assert found is not None
    assert (found[0].intact, found[0].checked, found[1]) == (True, 10, now + timedelta(seconds=40))


@pytest.mark.parametrize(
    ("statement", "first_broken"),
    [("UPDATE audit_entry SET actor = 'mallory' WHERE id = 8", 8), ("DELETE FROM audit_entry WHERE id > 8", None)],
)
def test_damage_is_found_in_the_next_pass(now: datetime, statement: str, first_broken: int | None) -> None:
    for _ in range(4):
        audit_check.check_part(now)
    tampering.allow()
    with transaction() as session:
        session.execute(text(statement))
    for _ in range(4):
        audit_check.check_part(now)
    found = outcome()
    assert found is not None
    assert not found[0].intact
    assert found[0].first_broken == first_broken
