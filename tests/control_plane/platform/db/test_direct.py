"""The address of PostgreSQL itself, in the words of libpq."""

import psycopg
import pytest
from flask import Flask
from sqlalchemy import make_url, text

from control_plane.platform.db import direct
from control_plane.platform.settings import Settings
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
