"""A pool that is nearly used up tells the guard so."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime

import pytest
from flask import Flask

from control_plane.platform.db.database import db, read_only
from control_plane.platform.db.pool import InstrumentedPool
from control_plane.platform.observability.signals import BUFFER, SeriesKey
from control_plane.platform.runtime import pool_saturation
from control_plane.platform.runtime.pool_saturation import SIGNAL
from control_plane.platform.settings import Settings

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
        assert isinstance(pool, InstrumentedPool)
        assert pool.size() + SPARE == 16
        for _ in range(taken):
            held.enter_context(read_only())
        BUFFER.get(app).take()
        pool_saturation.check(now)
        good, bad, _ = BUFFER.get(app).take()
    assert (good[SeriesKey(SIGNAL)], bad[SeriesKey(SIGNAL)]) == expected
