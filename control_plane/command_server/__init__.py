"""The command server: a process beside `rollout serve` that has loaded the program and runs commands at once.

The `rollout` command asks it first and runs by itself where none answers. See docs/adr/command-server.md.
"""
