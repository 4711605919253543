"""Passwords are proved, never kept."""

import pytest
from argon2 import PasswordHasher

from control_plane.platform.auth import passwords
from control_plane.platform.auth.passwords import NOBODY, hash_password, is_password
from control_plane.platform.problems import Problem

GOOD = "correct horse battery"


def test_the_right_password_is_recognised_and_a_wrong_one_is_not() -> None:
    stored = hash_password(GOOD, username="alice")
    assert GOOD not in stored
    assert is_password(stored, GOOD)
    assert not is_password(stored, GOOD + "!")
    assert not is_password(stored, "")


def test_two_hashes_of_one_password_differ() -> None:
    assert hash_password(GOOD, username="alice") != hash_password(GOOD, username="alice")


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 1025, "Alice-the-owner"])
def test_a_weak_password_is_refused_without_being_repeated(password: str) -> None:
    with pytest.raises(Problem) as refusal:
        hash_password(password, username="alice-the-owner")
    assert refusal.value.code == "WEAK_PASSWORD"
    assert not password or password not in refusal.value.detail


def test_the_longest_password_allowed_works_and_a_longer_one_does_not_pass_for_it() -> None:
    stored = hash_password("x" * 1024, username="alice")
    assert is_password(stored, "x" * 1024)
    assert not is_password(stored, "x" * 1025)


def test_a_damaged_hash_opens_nothing() -> None:
    assert not is_password("not a hash", GOOD)
    assert not is_password("", GOOD)


def test_a_stranger_costs_what_a_person_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher()
    assert not hasher.check_needs_rehash(NOBODY)
    monkeypatch.setattr(passwords, "hasher", hasher)
    assert not is_password(NOBODY, GOOD)


def test_who_finds_the_queue_full_is_told_to_come_back() -> None:
    with passwords.queue(2), passwords.queue(2):
        with pytest.raises(Problem) as refusal, passwords.queue(2):
            pytest.fail("a third was let in")
        assert (refusal.value.status, refusal.value.code) == (503, "TOO_MANY_SIGN_INS")
        assert int(refusal.value.headers["Retry-After"]) >= 1
    with passwords.queue(1):
        pass


@pytest.mark.parametrize(
    ("password", "weakness"),
    [
        ("aaaaaaaaaaaaaaaa", "fewer than 5 different"),
        ("abcdefghijklmnop", "neighbouring"),
        ("98765432109876", "tried first"),
        ("Password1234!", "tried first"),
        ("manchesterunited", "tried first"),
        ("qwertyuiop123", "tried first"),
        ("P@ssw0rd!2024", "tried first"),
        ("correct horse battery", ""),
        ("ponmlkjihgfedcba", "neighbouring"),
        ("passwordPassword", "again and again"),
        ("MargaretMargaret1", "little more than the username"),
        ("I am Margaret, really", ""),
    ],
)
def test_what_is_guessed_first_is_refused_however_long_it_is(password: str, weakness: str) -> None:
    if not weakness:
        assert hash_password(password, username="margaret")
        return
    with pytest.raises(Problem, match=weakness):
        hash_password(password, username="margaret")
