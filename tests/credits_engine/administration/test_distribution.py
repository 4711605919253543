"""Spreading a database: recorded, statement by statement, and told where one was refused."""

from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db import direct
from control_plane.platform.db.database import db, read_only
from credits_engine.administration.distribution import ACTION, DistributionError, distribute

pytestmark = pytest.mark.database("postgresql")

FIRST, BROKEN = "CREATE TABLE first_one (share text DEFAULT '5 %')", "SELECT create_reference_table('rollout')"


def run(*statements: str, now: datetime) -> None:
    with direct.connection() as connection:
        distribute(connection, statements, ChangeContext(now, "alice", "It grows."))


def test_what_is_done_stands_in_the_trail(app: Flask, now: datetime) -> None:
    with app.app_context():
        run(FIRST, now=now)
        with read_only() as session:
            (entry,) = audit.latest(session, limit=1)
        assert (entry.action, entry.actor, entry.after) == (ACTION, "alice", {"statements": [FIRST]})
        assert inspect(db.engine).has_table("first_one")


def test_where_nothing_is_left_to_do_nothing_is_recorded(app: Flask, now: datetime) -> None:
    with app.app_context():
        run(now=now)
        with read_only() as session:
            assert not any(each.action == ACTION for each in audit.latest(session, limit=1))


def test_nobody_gets_the_connection_without_a_timeout_afterwards(app: Flask, now: datetime) -> None:
    with app.app_context():
        run(FIRST, now=now)
        with db.engine.connect() as one, db.engine.connect() as other:
            assert [each.scalar(text("SHOW lock_timeout")) for each in (one, other)] == ["5s", "5s"]


def test_a_statement_that_is_refused_is_named_and_what_came_before_it_stays(app: Flask, now: datetime) -> None:
    with app.app_context():
        with pytest.raises(DistributionError, match=r"create_reference_table\('rollout'\).*does not exist"):
            run(FIRST, BROKEN, "CREATE TABLE second_one ()", now=now)
        assert inspect(db.engine).has_table("first_one")
        assert not inspect(db.engine).has_table("second_one")


def test_whoever_may_not_create_triggers_on_shards_is_told_before_anything_is_done(app: Flask, now: datetime) -> None:
    with app.app_context(), direct.connection() as connection:
        connection.execute(text("CREATE ROLE nobody_special"))
        connection.execute(text("SET ROLE nobody_special"))
        with pytest.raises(DistributionError, match="superuser"):
            distribute(connection, [FIRST], ChangeContext(now, "alice", "It grows."))
        assert not inspect(db.engine).has_table("first_one")
