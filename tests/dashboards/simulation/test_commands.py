"""On which database a rehearsal takes place, and how well it is kept."""

from pathlib import Path

import pytest

from control_plane.platform.db.database import read_only
from dashboards.simulation.commands import simulation_application

OFF, NORMAL = 0, 1


@pytest.mark.parametrize(("named", "synchronous"), [(False, OFF), (True, NORMAL)])
def test_a_database_that_is_thrown_away_need_not_reach_the_disk_and_a_named_one_does(
    tmp_path: Path, named: bool, synchronous: int
) -> None:
    url = f"sqlite:///{tmp_path / 'kept.db'}" if named else None
    with simulation_application(url) as app, app.app_context(), read_only() as session:
        assert session.connection().exec_driver_sql("PRAGMA synchronous").scalar() == synchronous
    assert (tmp_path / "kept.db").exists() is named
