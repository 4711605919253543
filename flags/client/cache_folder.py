"""Where the last known flags are kept by default."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp


def own_folder() -> Path:
    """Return a folder of this user in the temporary one, where what is kept survives a restart.

    What is kept is a pickle: whoever else could write it would run what they like in this process.
    """
    if not hasattr(os, "getuid"):  # Windows, where the temporary folder is the user's own
        return Path(gettempdir()) / "rollout-flags"
    folder = Path(gettempdir()) / f"rollout-flags-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if is_ours else Path(mkdtemp(prefix="rollout-flags-"))
