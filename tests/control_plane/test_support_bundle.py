"""A support bundle: what it holds, and that no secret and no person is in it."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from flask import Flask

from control_plane import support_bundle
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import tokens
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from control_plane.rollouts import service
from tests import outages, people
from tests.control_plane.conftest import Run
from tests.processes import free_port

SECRET = "zY8-not-to-be-seen-Qw3"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def read(path: Path) -> dict[str, Any]:
    """Return the documents of a bundle by name."""
    with ZipFile(path) as bundle:
        return {name.removesuffix(".json"): json.loads(bundle.read(name)) for name in bundle.namelist()}


def test_it_says_what_runs_how_it_is_set_and_where_each_rollout_stands(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    with app.app_context():
        with transaction() as session:
            service.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "alice", "The guide."))
        size = support_bundle.write(path, NOW)
    found = read(path)
    assert size == path.stat().st_size
    assert path.stat().st_mode & 0o077 == 0
    assert set(found) == {"versions", "settings", "database", "readiness", "rollouts", "guard"}
    assert found["versions"]["schema"] == found["database"]["schema"]
    assert found["database"]["host_clock_ahead_seconds"] == pytest.approx(0, abs=60)
    assert found["database"]["behind_pooler"] is False
    assert found["settings"]["workers"] == 1
    (rollout,) = found["rollouts"]
    assert (rollout["flag"], rollout["phase"], rollout["gates"]["soak"]) == (FLAG, "development", "closed")
    assert FLAG in found["guard"]["verdicts"]


def test_neither_secrets_nor_people_are_in_it(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    with app.app_context():
        people.invite(app, NOW)
        with transaction() as session:
            token = tokens.create_token(
                session, tokens.NewToken("a service", "service", environment="production"), now=NOW
            )
        support_bundle.write(path, NOW)
    with ZipFile(path) as bundle:
        text = "".join(bundle.read(name).decode() for name in bundle.namelist())
    for private in ("alice", "olga", token, token.rpartition(".")[2]):
        assert private not in text


def test_of_a_text_that_nobody_listed_only_whether_it_is_set_is_shown() -> None:
    settings = Settings()
    texts: dict[str, Any] = {
        each.name: SECRET for each in fields(settings) if isinstance(getattr(settings, each.name), str)
    }
    secretive = replace(settings, **texts, notify_urls=(f"slack://{SECRET}",), stripe_webhook_secrets=(SECRET,))
    shown = support_bundle.visible_settings(secretive)
    assert {name for name, value in shown.items() if value == SECRET} == support_bundle.SHOWN
    assert SECRET not in str({name: value for name, value in shown.items() if name not in support_bundle.SHOWN})
    assert shown["secret_key"] == "set"
    assert support_bundle.visible_settings(Settings())["secret_key"] == "unset"


@pytest.mark.database("sqlite")
def test_a_database_that_is_away_costs_only_the_parts_that_need_it(app: Flask, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    with app.app_context(), outages.unreachable(app):
        support_bundle.write(path, NOW)
    found = read(path)
    assert found["rollouts"] == {"failed": "OperationalError"}
    assert found["readiness"]["database"] == "failed; the log says why"
    assert found["versions"]["program"]


def test_the_command_writes_one_while_nobody_answers_at_the_address(program: Run, tmp_path: Path) -> None:
    path = tmp_path / "bundle.zip"
    done = program("support-bundle", str(path), DATABASE_URL=f"postgresql://rollout@127.0.0.1:{free_port()}/rollout")
    assert done.returncode == 0, done.stderr
    assert read(path)["database"] == {"failed": "OperationalError"}
