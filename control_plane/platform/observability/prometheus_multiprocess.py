"""Metrics of several workers: counted in files side by side, and added up by whichever worker is asked."""

import os
import re
import sys
from pathlib import Path

from control_plane.platform import private_files
from control_plane.platform.settings import Settings

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FOLDER = "metrics"
COUNTED = re.compile(r"(counter|histogram|summary|gauge(_[a-z]+)?)_\d+\.db")
"""What the client library names its files; a database of ours in the same folder is none of them."""
LIVE = re.compile(r"gauge_live[a-z]*_(?P<process>\d+)\.db")


def set_up(settings: Settings) -> None:
    """Give the workers an empty folder to count in, for what an earlier start counted is not theirs.

    Where there are several and no folder was named, this program begins again with one: the client library decides
    when it is imported. Call it in the serving process before anything else was done.
    """
    named = os.environ.get(VARIABLE)
    if not named and settings.workers == 1:
        return
    folder = Path(named or settings.instance_dir.absolute() / FOLDER)
    private_files.make_folder(folder)
    for path in folder.iterdir():
        if COUNTED.fullmatch(path.name):
            path.unlink(missing_ok=True)
    if not named:
        os.environ[VARIABLE] = str(folder)
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - this very program


def remove_ended_processes() -> None:
    """Leave gauges of workers that have ended out of the sums over those that live."""
    for path in Path(os.environ[VARIABLE]).iterdir():
        found = LIVE.fullmatch(path.name)
        if found and not _is_alive(int(found["process"])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
