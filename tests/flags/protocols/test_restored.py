"""SDKs that slept while the database was put back: what they hold is of a time that never was."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import db, transaction
from control_plane.platform.settings import Settings
from flags.administration import definitions
from tests.applications import application
from tests.installation import Installation


def make_flag(app: Flask, name: str) -> None:
    with app.app_context(), transaction() as session:
        definitions.create_flag(session, name, {"production": True}, ChangeContext(datetime.now(UTC), "test"))


@pytest.mark.database("sqlite")
def test_a_file_that_was_put_back_by_hand_is_noticed(settings: Settings, tmp_path: Path) -> None:
    """Revisions are counted again, and the same id names other flags."""
    ids, held = [], ""
    url = f"sqlite:///{tmp_path / 'served.db'}"
    for flag in ("before", "since", "instead"):
        with application(replace(settings, database_url=url)) as app:
            installation = Installation(app)
            if flag == "before":
                token = installation.token("client")
            make_flag(app, flag)
            headers = {"Authorization": token, **({"If-None-Match": held} if held else {})}
            answer = app.test_client().get("/api/client/delta", headers=headers)
            [events] = [answer.get_json()["events"]]
            ids.append(events[0]["eventId"])
            with app.app_context():
                db.engine.dispose()
        if flag == "before":
            shutil.copy(tmp_path / "served.db", tmp_path / "kept.db")
        else:
            held = answer.headers["ETag"]
            shutil.copy(tmp_path / "kept.db", tmp_path / "served.db")
    assert ids[1] == ids[2], "or this test shows nothing"
    assert [event["type"] for event in events] == ["hydration"]
    assert {feature["name"] for feature in events[0]["features"]} == {"before", "instead"}
