"""Files that this user alone may read, whatever the umask says: users, hashes and Stripe's bodies are in them."""

import os
from contextlib import suppress
from pathlib import Path

MODE = 0o600
FOLDER_MODE = 0o700
UMASK = 0o077


def make_folder(path: Path) -> None:
    """Make a folder for this user alone. One that exists stays as its owner made it."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)


def make_private(path: Path) -> None:
    """Make an empty file where there is none, and let nobody else read one that exists and is ours."""
    # One that exists is never opened: closing any descriptor of a file ends all locks that this process has on it, and
    # with them those of SQLite, whose log another process would then delete as nobody's.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, MODE))
    close_to_others(path)


def close_to_others(path: Path) -> None:
    """Let nobody else read a file, where it is ours to say so."""
    with suppress(OSError):
        if path.stat().st_mode & UMASK:
            path.chmod(MODE)
