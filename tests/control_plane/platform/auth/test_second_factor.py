"""A code of the device proves who has it, once; a recovery code stands in for it, once."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import text

from control_plane.platform.auth import accounts, audit, second_factor
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Person
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def code(at: datetime = AT, secret: str = SECRET) -> str:
    return pyotp.TOTP(secret).at(at)


def check(person: Person, typed: str, at: datetime = AT) -> bool:
    with transaction() as session:
        return second_factor.check(session, person, typed, now=at)


@pytest.fixture
def codes(app: Flask) -> Iterator[Sequence[str]]:
    """The recovery codes of alice, whose device has the secret."""
    with app.app_context():
        with transaction() as session:
            alice = accounts.create_person(session, "alice", password="correct horse battery", role="admin", now=AT)
            codes = second_factor.enable(session, alice, SECRET, code(), now=AT)
        yield codes


@pytest.fixture
def alice(codes: Sequence[str]) -> Person:
    with read_only() as session:
        return accounts.find_person(session, 1)


def test_the_code_of_now_and_of_half_a_minute_around_it_fit(alice: Person) -> None:
    later = AT + timedelta(minutes=10)
    assert not check(alice, code(later - timedelta(seconds=90)), later)
    assert check(alice, code(later - timedelta(seconds=30)), later)
    assert check(alice, code(later + timedelta(seconds=30)), later)


def test_a_code_counts_once_also_the_one_that_set_the_device_up(alice: Person) -> None:
    assert not check(alice, code())
    later = AT + timedelta(seconds=60)
    assert check(alice, code(later)[:3] + " " + code(later)[3:], later)
    assert not check(alice, code(later), later)
    assert not check(alice, code(later - timedelta(seconds=30)), later), "nor does one of before"


def test_of_two_who_type_one_code_at_once_one_gets_in(app: Flask, alice: Person) -> None:
    later, got_in = AT + timedelta(minutes=5), list[bool]()
    barrier = threading.Barrier(8)

    def enter() -> None:
        with app.app_context():
            barrier.wait()
            got_in.append(check(alice, code(later), later))

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got_in) == [False] * 7 + [True]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("typed", ["", "\uff11\uff12\uff13\uff14\uff15\uff16", "abcdef", "1" * 500, "\x00", "-"])
def test_nothing_else_fits(alice: Person, typed: str) -> None:
    assert not check(alice, typed, AT + timedelta(minutes=5))


def test_a_recovery_code_counts_once_and_is_audited(alice: Person, codes: Sequence[str]) -> None:
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    assert check(alice, f" {codes[3].upper()} ")
    assert not check(alice, codes[3])
    assert check(alice, codes[4].replace("-", ""))
    with read_only() as session:
        (newest, *_) = audit.latest(session, subject="person:alice")
    assert (newest.action, newest.after) == ("person.use_recovery_code_of_second_factor", {"left": 8})


def test_the_database_holds_nothing_that_makes_a_code(alice: Person, codes: Sequence[str]) -> None:
    with read_only() as session:
        row = str(session.execute(text("SELECT * FROM person")).one())
        trail = str([(entry.before, entry.after) for entry in audit.latest(session)])
    for held in (row, trail):
        assert SECRET not in held
        assert not any(each.replace("-", "") in held or each in held for each in codes)


def test_after_a_change_of_the_key_the_old_one_still_opens_it_while_it_is_named(app: Flask, alice: Person) -> None:
    settings, later = SETTINGS.get(app), AT + timedelta(minutes=5)
    SETTINGS.set(app, replace(settings, secret_key="another"))
    assert not check(alice, code(later), later)
    SETTINGS.set(app, replace(settings, secret_key="another", secret_key_fallbacks=(settings.secret_key,)))
    assert check(alice, code(later), later)


def test_a_device_that_has_another_secret_is_not_taken(app: Flask) -> None:
    with app.app_context(), transaction() as session:
        bob = accounts.create_person(session, "bob", password="correct horse battery", role="viewer", now=AT)
        for typed in ("", "123", code(secret=second_factor.new_secret())):
            with pytest.raises(Problem, match="does not fit"):
                second_factor.enable(session, bob, SECRET, typed, now=AT)
        with pytest.raises(Problem, match="does not fit"):
            second_factor.enable(session, bob, "", code(), now=AT)
        with pytest.raises(Problem, match="no second factor"):
            second_factor.remove(session, bob, now=AT, actor="alice")
