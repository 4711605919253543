"""Secrets of the settings: long enough to be none that can be guessed, and one that is made where none is given."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from control_plane.platform import private_files

CHARACTERS_MIN = 32
"""RFC 7518 asks for 256 bits of an HS256 key; a secret of words has less in each character, so this is the least."""
DIFFERENT_MIN = 8
MADE_BYTES = 48


class SecretError(ValueError):
    """A secret can't be used; the message is the rest of a sentence that names it, and never holds it."""


def check(value: str) -> str:
    """Return the secret itself. Raises SecretError for one that could be guessed."""
    if len(value.strip()) < CHARACTERS_MIN:
        raise SecretError(f"has {len(value.strip())} characters; {_advice()}.")
    if len(set(value)) < DIFFERENT_MIN:
        raise SecretError(f"has {len(set(value))} different characters; {_advice()}.")
    return value


def stored(path: Path) -> str:
    """Return the secret in `path`, made on the first start and readable by this user alone.

    Raises SecretError and OSError.

    A file without any content is what a full disk or a power cut leaves of the first start: nothing was signed with
    it, so it is made again. One with a short content was written by somebody, who has to decide.
    """
    private_files.make_folder(path.parent)
    with _locked(path.parent):
        found = path.read_text().strip() if path.exists() else ""
        if not found:
            found = secrets.token_urlsafe(MADE_BYTES)
            _write(path, found)
    private_files.close_to_others(path)
    try:
        return check(found)
    except SecretError as error:
        sentence = str(error).partition(";")[0]
        raise SecretError(f"{sentence}; remove the file, and a new one is made: everybody signs in again.") from None


def read(path: Path) -> str:
    """Return the secret in `path`; empty where none was made or this user may not read it. Raises SecretError."""
    try:
        found = path.read_text().strip()
    except OSError:
        return ""
    return check(found) if found else ""


def _write(path: Path, content: str) -> None:
    """Write the file whole or not at all."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, private_files.MODE), "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes that start at this moment out, so that all take the same secret."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _advice() -> str:
    return (
        f"write at least {CHARACTERS_MIN}, {DIFFERENT_MIN} of them different, such as what "
        "`python3 -c 'import secrets; print(secrets.token_urlsafe(48))'` prints"
    )
