"""Passwords as Argon2id hashes, bounded so that a crowd at the door can't take the machine's memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control_plane.platform.problems import Problem

CHARACTERS = range(12, 1025)
DIFFERENT_MIN = 5
BESIDE_NAME_MIN = 8
GUESSED_MAX = 64
"""Nobody guesses longer ones by a rule."""
SCORE_MIN = 3
"""Of zxcvbn's four: 10^8 guesses, more than a throttled sign-in lets anybody make in a lifetime."""
# A real hash of a password nobody knows: checking a stranger costs what checking a person costs.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$iNAeqLcoQSZmJ4C4UOMFdg$n04JXV18rrMxnqUb2ZsGU6o1KeeddOsa3x3Bh5q+Sbo"

hasher = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)  # each takes 64 MiB
_queue = threading.Lock()
_queued = [0]
RETRY_SECONDS = 2


@contextmanager
def queue(places: int) -> Iterator[None]:
    """Provide a place in the queue of those whose password is checked.

    Raises a 503 Problem where all `places` are taken.
    """
    with _queue:
        if _queued[0] >= places:
            detail = f"Too many people sign in at this moment; try again in {RETRY_SECONDS} seconds."
            raise Problem(503, "TOO_MANY_SIGN_INS", detail, headers={"Retry-After": str(RETRY_SECONDS)})
        _queued[0] += 1
    try:
        yield
    finally:
        with _queue:
            _queued[0] -= 1


def hash_password(password: str, *, username: str) -> str:
    """Return the text to store.

    Raises Problem for a password that is too short, too long or guessed among the first.
    """
    if len(password) not in CHARACTERS:
        limits = f"{CHARACTERS[0]} to {CHARACTERS[-1]} characters"
        raise Problem(422, "WEAK_PASSWORD", f"The password has {len(password)} characters; use {limits}.")
    weakness = _weakness(password.lower(), username) if len(password) <= GUESSED_MAX else ""
    if weakness:
        raise Problem(422, "WEAK_PASSWORD", f"The password {weakness}; choose another.")
    with _hashing:
        return hasher.hash(password)


def _weakness(password: str, username: str) -> str:
    """Say why a long password is guessed among the first all the same; empty if it is not."""
    if password == username:
        return "is the username"
    if len(password.replace(username, "")) < BESIDE_NAME_MIN:
        return "is little more than the username"
    if len(set(password)) < DIFFERENT_MIN:
        return f"has fewer than {DIFFERENT_MIN} different characters"
    if len({ord(right) - ord(left) for left, right in pairwise(password)}) == 1:
        return "is a row of neighbouring characters"
    # A word written twice lies within its own double, not only at both ends.
    if password in (password + password)[1:-1]:
        return "is the same word again and again"
    return "is among those that are tried first, as one of many that leaked" if _is_common(password, username) else ""


def _is_common(password: str, username: str) -> bool:
    """Return whether lists of leaked passwords, words, names, dates and rows of keys soon lead to it."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists take a tenth of a second, and hardly any process needs them

    return zxcvbn(password, user_inputs=[username])["score"] < SCORE_MIN


def is_password(password_hash: str, password: str) -> bool:
    """Return whether `password` is the one that was hashed."""
    with _hashing:
        try:
            # Cut: nobody makes us hash a megabyte, and no stored password is as long as that.
            return hasher.verify(password_hash, password[: CHARACTERS.stop])
        except (VerificationError, InvalidHashError):
            return False
