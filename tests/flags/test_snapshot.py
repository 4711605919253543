"""The flags that a process keeps in memory, an environment each."""

from flask import Flask

from control_plane.audiences.exposure import PRODUCTION
from control_plane.platform.db.database import read_only
from flags.snapshot import ENVIRONMENTS_MAX, SNAPSHOTS
from tests.installation import Installation


def test_names_of_environments_fill_no_memory_and_push_out_no_process_own(
    app: Flask, installation: Installation
) -> None:
    """Anybody who looks on may ask about any name."""
    with app.app_context(), read_only() as session:
        snapshots = SNAPSHOTS.get()
        own, first = (snapshots.current(session, name) for name in (PRODUCTION, "made-up"))
        assert snapshots.current(session, "made-up") is first, "it is kept while there is room"
        for number in range(ENVIRONMENTS_MAX):
            snapshots.current(session, f"made-up-{number}")
        assert snapshots.current(session, "made-up") is not first
        assert snapshots.current(session, PRODUCTION).flags == own.flags
        assert snapshots.current(session, PRODUCTION) is own
