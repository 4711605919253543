"""The address of PostgreSQL itself, in the words of libpq."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import make_url, text

from control_plane.platform.db import direct
from control_plane.platform.db.database import db
from control_plane.platform.db.timeouts import SILENCE
from control_plane.platform.settings import Settings
from tests.applications import application
from tests.processes import free_port


@pytest.mark.parametrize("hosts", ["host=h1:5&host=h2:6", "host=h1,h2&port=5,6"])
def test_several_hosts_are_lists_for_libpq(hosts: str) -> None:
    url = make_url(f"postgresql://ann:word@/credits?{hosts}&target_session_attrs=read-write")
    assert direct.libpq_arguments(url) == {
        "host": "h1,h2",
        "port": "5,6",
        "user": "ann",
        "password": "word",
        "dbname": "credits",
        "target_session_attrs": "read-write",
    }


@pytest.mark.database("postgresql")
def test_who_listens_finds_the_host_that_answers(settings: Settings, app: Flask) -> None:
    there = make_url(settings.database_url)
    hosts = [f"127.0.0.1:{free_port()}", f"{there.host}:{there.port}"]
    url = there.set(host=None, port=None, query={"host": hosts, "target_session_attrs": "read-write"})
    arguments = {**direct.libpq_arguments(url), "autocommit": True}
    with app.app_context(), psycopg.connect(**arguments) as listener, direct.connection() as connection:
        listener.execute("LISTEN here")
        with connection.begin():
            connection.execute(text("SELECT pg_notify('here', 'word')"))
        assert [each.payload for each in listener.notifies(timeout=30, stop_after=1)] == ["word"]


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("own", [{}, {"keepalives_idle": "60"}])
def test_a_server_that_was_cut_off_without_a_word_counts_as_gone_soon(settings: Settings, own: dict[str, str]) -> None:
    url = make_url(settings.database_url).update_query_dict(own).render_as_string(hide_password=False)
    wanted = {name: str(value) for name, value in SILENCE.items()} | own
    ways: tuple[dict[str, Any], ...] = ({"database_url": url}, {"database_url": url, "database_direct_url": url})
    for given in ways:
        with application(replace(settings, **given)) as app, app.app_context():
            with db.engine.connect() as pooled, direct.connection() as straight:
                drivers = [each.connection.driver_connection for each in (pooled, straight)]
                said = [driver.info.get_parameters() for driver in drivers if driver]
            with psycopg.connect(**direct.listen_arguments()) as listener:
                said.append(listener.info.get_parameters())
        assert len(said) == 3
        assert [wanted.items() - each.items() for each in said] == [set()] * 3
