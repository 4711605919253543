"""Whether what a process serves is what the database says, as the guard is told."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from control_plane.platform.db.database import db
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from flags.client_features.refresher import REFRESHER, feature_provider
from flags.client_features.staleness_signal import SIGNAL, StalenessSignal
from tests.installation import Installation

NOW = datetime.now(UTC)
AN_AGE = 1e9
FRESH, STALE, NONE = (1, 0), (0, 1), (0, 0)

CountOnce = Callable[..., tuple[int, int]]


@pytest.fixture
def signal(app: Flask, installation: Installation) -> StalenessSignal:
    """Return the staleness signal of an application that serves none of its own flags yet."""
    installation.move(3, 3)
    installation.publish()
    return StalenessSignal(REFRESHER.get(app))


@pytest.fixture
def count_once(app: Flask, signal: StalenessSignal) -> CountOnce:
    """Look once: how many good and bad outcomes that gave. The bound is out of reach of any test."""

    def count_once(bound: float = AN_AGE) -> tuple[int, int]:
        with app.app_context():
            BUFFER.get(app).take()
            signals.set_bounds({SIGNAL: bound})
            signal.check(NOW)
        good, bad, _ = BUFFER.get(app).take()
        return good[SeriesKey(SIGNAL)], bad[SeriesKey(SIGNAL)]

    return count_once


@pytest.fixture
def serve(app: Flask) -> None:
    """Serve production and staging from now on."""
    with app.app_context():
        for environment in ("production", "staging"):
            feature_provider().current(environment)


def test_a_process_that_serves_nothing_is_no_evidence(count_once: CountOnce) -> None:
    assert count_once() == NONE


@pytest.mark.usefixtures("serve")
def test_what_was_confirmed_and_has_not_changed_is_fresh(count_once: CountOnce) -> None:
    assert [count_once(), count_once()] == [FRESH, FRESH]


@pytest.mark.usefixtures("serve")
def test_flags_are_stale_when_nobody_confirmed_them_for_longer_than_the_bound(count_once: CountOnce) -> None:
    assert count_once(bound=-1.0) == STALE


@pytest.mark.usefixtures("serve")
def test_a_change_has_until_the_next_look_to_arrive(
    app: Flask, installation: Installation, count_once: CountOnce
) -> None:
    count_once()
    installation.roll_back()
    assert count_once() == FRESH, "it may be on its way"
    assert count_once() == STALE
    with app.app_context():
        REFRESHER.get(app).refresh()
    assert count_once() == FRESH


@pytest.mark.usefixtures("serve")
def test_the_database_being_away_is_no_change(app: Flask, count_once: CountOnce) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    count_once()
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", fail)
    assert count_once() == FRESH, "what is served was confirmed not long ago"
    assert count_once(bound=-1.0) == STALE
