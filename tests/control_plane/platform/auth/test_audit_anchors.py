"""Whoever may write everything in the database, and has no key, can't shorten the trail without being found."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit, audit_anchors
from control_plane.platform.auth.audit_anchors import AnchorError
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import SETTINGS
from tests import tampering


@pytest.fixture(autouse=True)
def trail(app: Flask, now: datetime) -> Iterator[None]:
    """Six entries, whose end was noted."""
    with app.app_context():
        write(now, 6)
        audit_anchors.export(now)
        yield


def write(now: datetime, entries: int = 1) -> None:
    for number in range(entries):
        with transaction() as session:
            audit.record(session, ChangeContext(now, "alice", f"Entry {number}."), action="test", subject="x")


def lost() -> int:
    with read_only() as session:
        return len(audit.verify(session, audit_anchors.read_file(audit_anchors.own_file())).anchors_lost)


def configure(app: Flask, **values: Any) -> None:
    SETTINGS.set(app, replace(SETTINGS.get(app), **values))


def empty() -> None:
    tampering.allow()
    with transaction() as session:
        session.execute(text("DELETE FROM audit_entry"))
    tampering.rewrite_head(entries=0, last_id=0, last_hash=audit.GENESIS, sealed_from=0, seal="")


def cut_off_and_remove_seal() -> None:
    tampering.allow()
    tampering.cut_off(2)
    with read_only() as session:
        end = audit.verify(session).end
    tampering.rewrite_head(entries=end.entries, last_id=end.last_id, last_hash=end.last_hash, seal="")


@pytest.mark.parametrize("attack", [empty, cut_off_and_remove_seal])
def test_a_trail_shortened_together_with_the_record_of_its_end_is_found(
    attack: Callable[[], None], now: datetime
) -> None:
    attack()
    write(now, 2)  # honest entries, which seal the rest anew
    with read_only() as session:
        assert audit.verify(session).intact, "in the database nothing tells"
    assert lost() == 1


def test_the_end_is_noted_once_and_again_after_each_change(now: datetime) -> None:
    audit_anchors.export(now)
    assert len(audit_anchors.read_file(audit_anchors.own_file())) == 1
    write(now)
    audit_anchors.export(now)
    assert [each.entries for each in audit_anchors.read_file(audit_anchors.own_file())] == [6, 7]
    assert lost() == 0
    assert audit_anchors.own_file().stat().st_mode & 0o077 == 0


def test_an_end_that_somebody_else_wrote_is_not_noted(now: datetime) -> None:
    tampering.allow()
    tampering.cut_off(2)
    tampering.rewrite_head(entries=4, last_id=4)
    audit_anchors.export(now)
    assert [each.entries for each in audit_anchors.read_file(audit_anchors.own_file())] == [6]


def test_targets_get_it_and_one_that_fails_gets_it_next_time(
    app: Flask, now: datetime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    posted: list[str] = []

    def post(address: str, *, data: str, **_: object) -> requests.Response:
        posted.append(data)
        answer = requests.Response()
        answer.status_code = 302 if len(posted) == 1 else 204
        return answer

    monkeypatch.setattr(requests, "post", post)
    configure(app, audit_anchors=("log", f"file:{folder}/anchors", "https://archive.example/hook"))
    audit_anchors.export(now)
    folder.mkdir()
    audit_anchors.export(now)
    audit_anchors.export(now)
    assert [each.entries for each in audit_anchors.read_file(folder / "anchors")] == [6]
    assert len(posted) == 2, "a redirect is no receipt, a second answer is"
    assert json.loads(posted[0])["anchor"].startswith("6:")


def test_an_anchor_that_somebody_wrote_is_refused(app: Flask, now: datetime) -> None:
    path = audit_anchors.own_file()
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"anchor": f"2:2:{'0' * 64}"}) + "\n")
    with pytest.raises(AnchorError, match="Line 1"):
        audit_anchors.read_file(path)
    path.write_text(json.dumps(document) + "\n")
    configure(app, secret_key="another")
    with pytest.raises(AnchorError, match="SECRET_KEY_FALLBACKS"):
        audit_anchors.read_file(path)


def test_after_a_change_of_the_key_what_the_old_one_signed_still_counts(app: Flask, now: datetime) -> None:
    old = SETTINGS.get(app).secret_key
    configure(app, secret_key="another", secret_key_fallbacks=(old,))
    assert lost() == 0
    write(now)
    configure(app, secret_key_fallbacks=())
    with read_only() as session:
        assert audit.verify(session).intact, "the next entry is sealed with the new key"


def test_half_a_line_of_a_power_cut_is_left_out_and_followed_by_a_whole_one(now: datetime) -> None:
    path = audit_anchors.own_file()
    path.write_text(path.read_text() + '{"at": "2026')
    assert len(audit_anchors.read_file(path)) == 1
    write(now)
    audit_anchors.export(now)
    assert [each.entries for each in audit_anchors.read_file(path)] == [6, 7]


@pytest.mark.database("sqlite")
def test_no_entry_is_replaced_in_place(now: datetime) -> None:
    columns = "at, actor, action, subject, reason, previous_hash, hash"
    statement = "INSERT OR REPLACE INTO audit_entry (id, {0}) SELECT 3, {0} FROM audit_entry WHERE id = 4"
    with pytest.raises(DBAPIError, match="append-only"), transaction() as session:
        session.execute(text(statement.format(columns)))
