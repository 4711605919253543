"""A first start makes what is missing; of two at the same moment, as of a chart with two pods, each goes on."""

from datetime import UTC, datetime

import pytest
from flask import Flask

from control_plane.bootstrap import BootstrapResult, bootstrap
from tests.races import during

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.mark.database("postgresql")
def test_of_two_processes_that_start_together_on_an_empty_database_one_plans_and_makes_the_owner(app: Flask) -> None:
    made = list[BootstrapResult]()
    with app.app_context():
        refused = during(
            app,
            lambda session: made.append(bootstrap(session, NOW)),
            lambda session: made.append(bootstrap(session, NOW)),
        )
    assert refused == ""
    first, second = made
    assert first.planned
    assert first.owner_password
    assert second == BootstrapResult(planned=False, owner_password=None)
