"""Failures to sign in count for every process at once, and leave one audit entry a minute, however many there are."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from control_plane.platform.auth import accounts, audit, rate_limit, sign_in_failures
from control_plane.platform.auth.rate_limit import Attempt
from control_plane.platform.auth.sign_in_failures import Limit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.control_plane.platform import endpoints
from tests.control_plane.platform.endpoints import enter

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ALICE, HOME = Limit("account:alice", 3), Limit("network:10.0.0.1", 5)


@pytest.fixture
def other(app: Flask, settings: Settings) -> Iterator[Flask]:
    """Another process on the same database."""
    with application(replace(settings)) as other:
        yield other


def fail(*limits: Limit, at: datetime = AT, succeeds: bool = False) -> bool:
    """Try to sign in; whether anybody looked at the password."""
    made = Attempt()
    with suppress(Problem), sign_in_failures.attempt(limits, made, at):
        made.failed = not succeeds
        return True
    return False


def entries() -> list[audit.AuditEntry]:
    with read_only() as session:
        return [entry for entry in audit.latest(session) if entry.action == "person.sign_in_failed"]


def test_the_limit_is_for_all_processes_together(app: Flask, other: Flask) -> None:
    looked_at = []
    for number in range(6):
        with (app if number % 2 else other).app_context():
            looked_at.append(fail(ALICE, HOME))
    assert looked_at == [True, True, True, False, False, False]


def test_what_is_refused_counts_against_nobody(app: Flask) -> None:
    with app.app_context():
        for _ in range(10):
            fail(ALICE, HOME)
        assert [fail(HOME) for _ in range(3)] == [True, True, False]


def test_success_takes_the_attempt_back(app: Flask) -> None:
    with app.app_context():
        assert all(fail(ALICE, HOME, succeeds=True) for _ in range(10))
        assert fail(ALICE)


def test_failures_of_the_minute_before_count_in_part_and_then_no_longer(app: Flask) -> None:
    with app.app_context():
        for _ in range(3):
            assert fail(ALICE, at=AT + timedelta(seconds=50))
        assert not fail(ALICE, at=AT + timedelta(seconds=65))
        assert fail(ALICE, at=AT + timedelta(seconds=100))
        assert fail(ALICE, at=AT + timedelta(seconds=130))


def test_of_sixty_guesses_at_once_in_two_processes_ten_are_looked_at(app: Flask, other: Flask) -> None:
    now = datetime.now(UTC)
    for each in (app, other):
        endpoints.build(each)
    with app.app_context(), transaction() as session:
        accounts.create_person(session, "alice", password=endpoints.PASSWORD, role="owner", now=now)
    statuses: Counter[int] = Counter()
    barrier = threading.Barrier(60)

    def guess(place: int) -> None:
        client = (app if place % 2 else other).test_client()
        barrier.wait()
        statuses[enter(client, "alice", "nonsense").status_code] += 1

    threads = [threading.Thread(target=guess, args=(place,)) for place in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(statuses.values()) == 60
    assert set(statuses) <= {401, 429, 503}
    assert 0 < statuses[401] <= rate_limit.SIGN_IN.amount


def test_a_flood_leaves_one_entry_that_names_accounts_but_no_typed_passwords(app: Flask) -> None:
    with app.app_context():
        with transaction() as session:
            accounts.create_person(session, "alice", password=endpoints.PASSWORD, role="owner", now=AT)
        for number in range(200):
            fail(Limit(f"account:s3cret-{number}", 30), Limit(f"network:10.0.0.{number % 50}", 30))
        for _ in range(7):
            fail(Limit("account:alice", 30), Limit("network:10.0.0.1", 30))
        sign_in_failures.record_failures(AT + timedelta(seconds=30))
        assert entries() == [], "a minute that still counts for the limits is not over"
        sign_in_failures.record_failures(AT + timedelta(seconds=150))
        sign_in_failures.record_failures(AT + timedelta(seconds=210))
        (entry,) = entries()
    assert entry.after is not None
    assert (entry.after["failures"], entry.after["accounts"], entry.after["of_no_account"]) == (207, {"alice": 7}, 200)
    assert entry.subject == "person:alice"
    assert entry.after["locked_out"] == ["network:10.0.0.1"], "eleven in a minute"
    assert len(entry.after["addresses"]) == sign_in_failures.NAMED_MAX
    assert "s3cret" not in str(entry)


def test_whoever_was_held_off_is_named(app: Flask) -> None:
    with app.app_context():
        with transaction() as session:
            accounts.create_person(session, "alice", password=endpoints.PASSWORD, role="owner", now=AT)
        for number in range(31):
            fail(Limit("account:alice", 30), Limit(f"network:10.0.0.{number}", 10))
            fail(Limit("account:nobody", 30), Limit("network:10.0.9.9", 10))
        sign_in_failures.record_failures(AT + timedelta(seconds=150))
        (entry,) = entries()
    assert entry.after is not None
    assert entry.after["locked_out"] == ["account:alice", "network:10.0.9.9"]


def test_signing_in_and_out_leaves_a_trace(app: Flask) -> None:
    endpoints.build(app)
    with app.app_context(), transaction() as session:
        accounts.create_person(session, "alice", password=endpoints.PASSWORD, role="owner", now=AT)
    client = app.test_client()
    enter(client, "alice")
    client.post("/leave", headers=endpoints.BROWSER)
    client.post("/leave", headers=endpoints.BROWSER)
    with app.app_context(), read_only() as session:
        signed_out, signed_in, _ = audit.latest(session, subject="person:alice")
    assert (signed_in.action, signed_out.action) == ("person.sign_in", "person.sign_out")
    assert signed_in.after == {"address": "127.0.0.1", "method": "password"}
