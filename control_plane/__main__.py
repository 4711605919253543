"""`python -m control_plane` is the `rollout` command."""

from control_plane.cli import main

main()
