"""`python -m control_plane` is the `rollout` command."""

import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module

from control_plane.command_server import client


def main() -> None:
    """Have the command server run the command; where there is none load the command line and run it here."""
    _open_closed_streams()
    try:
        code = client.run(sys.argv[1:])
        if code is not None:
            sys.exit(code)
        run = _command_line()
    except KeyboardInterrupt:  # as click answers it once a command runs; the server ends what it runs for nobody
        sys.stderr.write("Aborted!\n")
        sys.exit(client.ENDED)
    run()


def _command_line() -> Callable[[], None]:
    # What modules define stays for good: going through it again and again would take a third of the start.
    gc.disable()
    run: Callable[[], None] = import_module("control_plane.cli").run
    gc.freeze()
    gc.enable()
    return run


def _open_closed_streams() -> None:
    """Put nothing in the place of a standard stream that the caller closed, as cron jobs and daemons do.

    The next file or socket would have its number otherwise, and whoever writes to the stream would fail or hit that.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - as long as we run


if __name__ == "__main__":
    main()
