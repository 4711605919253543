"""A process that an upgrade left behind says so, and nothing is armed until it has been restarted."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from control_plane import migrations, rollouts, schema_check
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.schema_check import SIGNAL, code_version
from control_plane.signal_counts import Counts

COOLED = timedelta(hours=1)


def counted(now: datetime) -> Counts:
    signals.flush(now)
    with read_only() as session:
        return signals.totals(session).get(SeriesKey(SIGNAL), Counts(0, 0))


def rearm(now: datetime) -> Decision:
    with transaction() as session:
        return rollouts.rearm(session, FLAG, ChangeContext(now, "alice", "It was a drill."), expected_version=2)


@pytest.fixture(autouse=True)
def rolled_back(app: Flask, now: datetime) -> Iterator[None]:
    with app.app_context():
        with transaction() as session:
            rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "The guide."))
            rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", "A drill."))
        yield


def test_the_schema_that_this_code_made_is_its_own(now: datetime) -> None:
    schema_check.check(now)
    assert counted(now) == Counts(0, 1)
    assert isinstance(rearm(now + COOLED), Transition)


def test_a_process_that_knows_another_version_keeps_everybody_from_arming(now: datetime) -> None:
    later = now + COOLED
    schema_check.check(later, ours=lambda: "0001")
    schema_check.check(later)
    assert counted(later) == Counts(1, 2)
    refused = rearm(later + timedelta(seconds=70))
    assert isinstance(refused, Refusal)
    assert "code for another version of the schema" in refused.reasons[0].sentence
    assert isinstance(rearm(later + timedelta(minutes=2)), Transition), "it was restarted"


def test_a_database_that_was_taken_back_differs_until_it_is_up_again(now: datetime) -> None:
    newest = code_version()
    migrations.downgrade("-1")
    schema_check.check(now)
    migrations.upgrade()
    schema_check.check(now)
    with read_only() as session:
        assert migrations.current(session) == newest
    assert counted(now) == Counts(1, 2)


def test_a_database_that_is_away_has_no_version(now: datetime) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    event.listen(db.engine, "before_cursor_execute", fail)
    schema_check.check(now)
    event.remove(db.engine, "before_cursor_execute", fail)
    assert counted(now) == Counts(0, 0)
