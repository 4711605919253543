"""Restore tests that were run are found by plans that ask for one."""

from datetime import datetime

from flask import Flask

from control_plane.core.gates import LastRun
from control_plane.platform.db.database import read_only, transaction
from credits_engine.migration import restore_test
from credits_engine.migration.restore_test import Step


def test_the_last_one_counts(app: Flask, now: datetime) -> None:
    with app.app_context():
        with read_only() as session:
            assert restore_test.last_run(session) is None
        for passed in (True, False):
            with transaction() as session:
                restore_test.record(session, [Step("copy", passed, "")], now=now, actor="olga")
            with read_only() as session:
                assert restore_test.last_run(session) == LastRun(now, passed)
