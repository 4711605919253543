"""A pool that is nearly used up tells the guard so."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

import pytest
from flask import Flask

from control_plane.platform import crowding
from control_plane.platform.checkouts import TimedPool
from control_plane.platform.crowding import SIGNAL
from control_plane.platform.database import db, reading
from control_plane.platform.settings import Settings
from control_plane.platform.signals import Series

SPARE = 8
"""How many connections both pools may open beyond those they keep."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, threads=SPARE)


@pytest.mark.parametrize(("taken", "expected"), [(0, (1, 0)), (14, (1, 0)), (15, (0, 1)), (16, (0, 1))])
def test_more_than_nine_of_ten_connections_in_use_are_too_many(
    app: Flask, now: datetime, taken: int, expected: tuple[int, int]
) -> None:
    with app.app_context(), ExitStack() as held:
        pool = db.engine.pool
        assert isinstance(pool, TimedPool)
        assert pool.size() + SPARE == 16
        for _ in range(taken):
            held.enter_context(reading())
        app.extensions["signals"].take()
        crowding.look(now)
        good, bad, _ = app.extensions["signals"].take()
    assert (good[Series(SIGNAL)], bad[Series(SIGNAL)]) == expected
