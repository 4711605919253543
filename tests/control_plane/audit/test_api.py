"""The trail over JSON and as files: filtered, paged, exported, and refused in words where a filter can't be read."""

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def written(app: Flask, now: datetime) -> None:
    with app.app_context(), transaction() as session:
        for number in range(5):
            change = ChangeContext(now + timedelta(hours=number), "alice", "=SUM(A1:A9)")
            audit.record(session, change, action="flag.update", subject="flag:A", before={"n": number}, after=None)


def test_pages_lead_from_one_to_the_next(sign_in: SignIn, written: None) -> None:
    browser = sign_in("victor")
    first = browser.get("/api/audit?limit=3&flag=A").get_json()
    second = browser.get(f"/api/audit?limit=3&flag=A&cursor={first['next']}").get_json()
    assert [entry["before"]["n"] for entry in (*first["entries"], *second["entries"])] == [4, 3, 2, 1, 0]
    assert second["next"] is None


def test_a_time_is_from_and_before(sign_in: SignIn, written: None, now: datetime) -> None:
    since, until = ((now + timedelta(hours=hours)).isoformat() for hours in (1, 3))
    entries = sign_in("victor").get("/api/audit", query_string={"since": since, "until": until}).get_json()["entries"]
    assert [entry["before"]["n"] for entry in entries] == [2, 1]


def test_an_export_is_a_file_in_which_no_cell_is_a_formula(sign_in: SignIn, written: None) -> None:
    browser = sign_in("victor")
    answer = browser.get("/api/audit/export?format=csv&flag=A")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit.csv"'
    assert [json.loads(row["before"])["n"] for row in rows] == [4, 3, 2, 1, 0]
    assert {row["reason"] for row in rows} == {"'=SUM(A1:A9)"}
    lines = browser.get("/api/audit/export?flag=A").get_data(as_text=True).splitlines()
    assert [json.loads(line)["before"]["n"] for line in lines] == [4, 3, 2, 1, 0]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("actr=alice", "UNKNOWN_PARAMETER"),
        ("since=yesterday", "INVALID_INSTANT"),
        ("until=2026-01-01T00:00:00", "INVALID_INSTANT"),
        ("since=9999-12-31T23:59:59-14:00", "INVALID_INSTANT"),
        ("cursor=0", "INVALID_CURSOR"),
        ("cursor=99999999999999999999", "INVALID_CURSOR"),
        ("limit=501", "INVALID_LIMIT"),
        ("actor=%0a", "INVALID_TEXT"),
        (f"flag={'f' * 201}", "INVALID_TEXT"),
    ],
)
def test_what_can_not_be_read_is_refused(sign_in: SignIn, query: str, code: str) -> None:
    answer = sign_in("victor").get(f"/api/audit?{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (400, code)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("address", ["/api/audit", "/api/audit/export"])
def test_nobody_reads_it_without_signing_in(client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 401


@pytest.mark.database("sqlite")
def test_an_unknown_format_is_refused(sign_in: SignIn) -> None:
    assert sign_in("victor").get("/api/audit/export?format=xlsx").get_json()["code"] == "UNKNOWN_FORMAT"
