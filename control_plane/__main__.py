"""`python -m control_plane` is the `rollout` command."""

import gc
import sys
from importlib import import_module

from control_plane.command_server import client


def main() -> None:
    """Have the command server run the command; where there is none load the command line and run it here."""
    code = client.run(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    # What modules define stays for good: going through it again and again would take a third of the start.
    gc.disable()
    cli = import_module("control_plane.cli")
    gc.freeze()
    gc.enable()
    cli.run()


if __name__ == "__main__":
    main()
