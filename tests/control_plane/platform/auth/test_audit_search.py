"""Entries are found by flag, person, action, subject and time, page by page without a gap."""

import random
from datetime import datetime, timedelta

import pytest
from flask import Flask

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit, audit_search
from control_plane.platform.auth.audit import AuditEntry
from control_plane.platform.auth.audit_search import AuditFilter
from control_plane.platform.db.database import read_only, transaction

ACTORS = ("alice", "olga", "guard")
ACTIONS = ("rollout.hold", "flag.update", "person.create")
SUBJECTS = ("rollout:A", "flag:A", "rollout:B", "person:bob")

FILTERS = [
    AuditFilter(),
    AuditFilter(flag="A"),
    AuditFilter(actor="olga"),
    AuditFilter(action="flag.update"),
    AuditFilter(subject="person:bob"),
    AuditFilter(flag="B", actor="guard"),
    AuditFilter(flag="C"),
]


@pytest.fixture
def written(app: Flask, now: datetime) -> list[AuditEntry]:
    """Ninety entries, several of each instant and some that were late to be written, newest first."""
    chance = random.Random(7)
    with app.app_context(), transaction() as session:
        for number in range(90):
            at = now + timedelta(minutes=number // 4 - chance.choice((0, 0, 0, 3)))
            change = ChangeContext(at, chance.choice(ACTORS), f"Reason {number}.")
            audit.record(session, change, action=chance.choice(ACTIONS), subject=chance.choice(SUBJECTS))
    with app.app_context(), read_only() as session:
        entries = audit.latest(session, limit=1000)
    return sorted(entries, key=lambda entry: (entry.at, entry.id), reverse=True)


def fits(wanted: AuditFilter, entry: AuditEntry) -> bool:
    return (
        (not wanted.flag or entry.subject in (f"rollout:{wanted.flag}", f"flag:{wanted.flag}"))
        and (not wanted.actor or entry.actor == wanted.actor)
        and (not wanted.action or entry.action == wanted.action)
        and (not wanted.subject or entry.subject == wanted.subject)
        and (wanted.since is None or entry.at >= wanted.since)
        and (wanted.until is None or entry.at < wanted.until)
    )


def paged(app: Flask, wanted: AuditFilter, limit: int) -> list[int]:
    found: list[int] = []
    before: int | None = None
    with app.app_context(), read_only() as session:
        while batch := audit_search.page(session, wanted, before=before, limit=limit):
            found += [entry.id for entry in batch]
            before = batch[-1].id
    return found


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("bounded", [False, True])
def test_pages_hold_exactly_what_fits_in_order(
    app: Flask, now: datetime, written: list[AuditEntry], wanted: AuditFilter, bounded: bool
) -> None:
    if bounded:
        since, until = now + timedelta(minutes=4), now + timedelta(minutes=15)
        wanted = AuditFilter(wanted.flag, wanted.actor, wanted.action, wanted.subject, since, until)
    assert paged(app, wanted, 7) == [entry.id for entry in written if fits(wanted, entry)]


def test_an_export_is_all_of_it(app: Flask, written: list[AuditEntry], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_search, "EXPORT_BATCH", 13)
    with app.app_context():
        assert [entry.id for entry in audit_search.every(AuditFilter())] == [entry.id for entry in written]


def test_names_are_all_different_values_up_to_a_number(app: Flask, written: list[AuditEntry]) -> None:
    with app.app_context(), read_only() as session:
        assert audit_search.names(session, "actor", limit=10) == sorted(ACTORS)
        assert audit_search.names(session, "subject", limit=2) == sorted(SUBJECTS)[:2]


def test_no_entry_no_names(app: Flask) -> None:
    with app.app_context(), read_only() as session:
        assert audit_search.names(session, "actor", limit=10) == []


@pytest.mark.parametrize("before", [-1, 10**12])
def test_a_place_of_no_entry_is_no_error(app: Flask, written: list[AuditEntry], before: int) -> None:
    with app.app_context(), read_only() as session:
        found = audit_search.page(session, AuditFilter(), before=before, limit=500)
    assert len(found) == (0 if before < 0 else len(written))
