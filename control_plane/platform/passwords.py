"""Passwords as Argon2id hashes, bounded so that a crowd at the door can't take the machine's memory."""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control_plane.platform.problems import Problem

CHARACTERS = range(12, 1025)
# A real hash of a password nobody knows: checking a stranger costs what checking a person costs.
NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$iNAeqLcoQSZmJ4C4UOMFdg$n04JXV18rrMxnqUb2ZsGU6o1KeeddOsa3x3Bh5q+Sbo"

hasher = PasswordHasher()
_hashing = threading.BoundedSemaphore(2)  # each takes 64 MiB


def hash_password(password: str, *, username: str) -> str:
    """The text to store. Raises Problem for a password that is too short, too long or the username itself."""
    if len(password) not in CHARACTERS:
        limits = f"{CHARACTERS[0]} to {CHARACTERS[-1]} characters"
        raise Problem(422, "WEAK_PASSWORD", f"The password has {len(password)} characters; use {limits}.")
    if password.lower() == username:
        raise Problem(422, "WEAK_PASSWORD", "The password is the username; choose another.")
    with _hashing:
        return hasher.hash(password)


def is_password(password_hash: str, password: str) -> bool:
    """Whether this is the password that was hashed."""
    with _hashing:
        try:
            return hasher.verify(password_hash, password[: CHARACTERS.stop])
        except (VerificationError, InvalidHashError):
            return False
