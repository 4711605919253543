"""The commands about flags, users and overrides, as people type them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask import Flask

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import cli_support
from flags import cli, store
from tests.installation import Installation

Run = Callable[..., str]


@pytest.fixture
def run(app: Flask, installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("directory", "import", "file")` types a command and gives what it printed."""
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    group = click.Group("rollout")
    cli.register(group)

    def run(*words: str, fails: bool = False) -> str:
        result = CliRunner().invoke(group, list(words))
        if fails and isinstance(result.exception, Problem):
            return str(result.exception)
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    return run


def says(run: Run, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json"))
    return found


def test_users_are_imported_and_explained(run: Run, tmp_path: Path, installation: Installation) -> None:
    file = tmp_path / "users.csv"
    file.write_text("user_id,plan,signed_up_at,beta\nann,pro,2030-01-01,true\nbob,free,,no\n")
    assert run("directory", "import", str(file)) == "2 users stored.\n"
    installation.move(1)
    assert run("explain", FLAG, "ann").startswith(f"{FLAG} is on for ann (TARGETING_MATCH).")
    explained = says(run, "explain", FLAG, "bob")
    assert (explained["value"], explained["entersAt"]["audience"]) == (False, "everyone")
    lines = run("explain", FLAG, "--file", str(file)).splitlines()
    assert lines[0] == "userId,value,reason,phase,bucket,entersAt,detail,next"
    assert [line.split(",")[:2] for line in lines[1:]] == [["ann", "True"], ["bob", "False"]]


def test_a_file_may_say_what_is_to_be_supposed_of_users(run: Run, tmp_path: Path, installation: Installation) -> None:
    feature = tmp_path / "flags.json"
    pro = {"contextName": "plan", "operator": "IN", "values": ["pro"]}
    strategy = {"name": "default", "constraints": [pro]}
    feature.write_text(json.dumps({"features": [{"name": "search", "enabled": True, "strategies": [strategy]}]}))
    run("flags", "import", str(feature), "--environment", "production")
    file = tmp_path / "suppose.csv"
    file.write_text("user_id,plan,signed_up_at\nann,pro,\nbob,free,2026-01-31\n")
    lines = run("explain", "search", "--file", str(file)).splitlines()
    assert [line.split(",")[:3] for line in lines[1:]] == [
        ["ann", "True", "TARGETING_MATCH"],
        ["bob", "False", "DEFAULT"],
    ]
    assert run("explain", "search", "ann").startswith("search is off for ann (DEFAULT).")


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("user_id,plan\nann,pro\nbob,\n", "Line 3 can't be used"),
        ("user_id,plan,beta\nann,pro,perhaps\n", "beta is 'perhaps'"),
        ("user_id,plan,signed_up_at\nann,pro,yesterday\n", "signed_up_at is 'yesterday'"),
    ],
)
def test_one_line_that_cant_be_used_keeps_all_out(run: Run, tmp_path: Path, lines: str, complaint: str) -> None:
    file = tmp_path / "users.csv"
    file.write_text(lines)
    assert complaint in run("directory", "import", str(file), fails=True)


def test_overrides_are_set_listed_and_ended(run: Run) -> None:
    assert run("override", "allow", "ann", "--reason", "A trial.", "--until", "2099-01-01T00:00:00Z") == (
        "ann is let in. Until 2099-01-01T00:00:00+00:00.\n"
    )
    run("override", "deny", "eve", "--reason", "Abuse.")
    assert [each["userId"] for each in says(run, "override", "list")["overrides"]] == ["ann", "eve"]
    assert run("override", "end", "deny", "eve", "--reason", "Over.") == f"{FLAG} treats eve like everybody again.\n"
    assert "No deny override" in run("override", "end", "deny", "eve", "--reason", "Over.", fails=True)


def test_flags_are_made_switched_exported_and_taken_again(run: Run, tmp_path: Path) -> None:
    run("flags", "create", "new-look", "--off", "production", "--on", "staging")
    assert run("flags", "switch", "new-look", "on", "--reason", "Ready.") == "new-look is on in production.\n"
    assert says(run, "flags", "list") == {"new-look": {"production": True, "staging": True}}
    file = tmp_path / "flags.json"
    file.write_text(run("flags", "export"))
    assert run("flags", "import", str(file), "--environment", "qa").startswith("1 flags and 0 segments imported.")
    file.write_text("{")
    assert "isn't valid JSON" in run("flags", "import", str(file), fails=True)


def test_an_import_names_what_it_did_not_take_and_fails(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    good = {"name": "good", "enabled": True, "strategies": [{"name": "default"}]}
    bad = {"name": "bad", "enabled": True, "strategies": [{"name": "ours"}]}
    file.write_text(json.dumps({"features": [good, bad]}))
    assert "not taken: bad: strategies[0].name: SDKs" in run("flags", "import", str(file), fails=True)
    assert "good" in says(run, "flags", "list")
    file.write_text(json.dumps({"features": [good | {"name": "other"}, bad]}))
    assert "can't be imported" in run("flags", "import", str(file), "--all-or-nothing", fails=True)
    assert "other" not in says(run, "flags", "list")


def test_an_import_names_what_it_wrote_in_another_way(run: Run, tmp_path: Path) -> None:
    """By the flag: the places in an export's list change with each that is archived or refused before it."""
    file = tmp_path / "flags.json"
    score = {"contextName": "score", "operator": "NUM_GT", "value": "1e3"}
    document = {
        "features": [{"name": "gone", "archived": True}, {"name": "written", "enabled": True}],
        "featureStrategies": [{"featureName": "written", "name": "default", "constraints": [score]}],
    }
    file.write_text(json.dumps(document))
    assert run("flags", "import", str(file)).splitlines()[1:] == [
        "  gone: It is archived, so it is left out.",
        "  written: strategies[0].constraints[0].value: '1e3' is written as '1000', which every engine reads.",
    ]
    again = json.loads(run("flags", "import", str(file), "--json"))
    assert [each["flag"] for each in again["repairs"]] == ["gone", "written"]


def test_what_an_earlier_release_stored_is_named_where_sdks_may_differ(run: Run, app: Flask) -> None:
    run("flags", "create", "look", "--on", "production")
    assert run("flags", "check") == "SDKs read every stored flag alike.\n"
    with app.app_context(), transaction() as session:
        wire = store.definitions_of(session, "look")["production"]
        digits = {"contextName": "email", "operator": "REGEX", "value": r"\d"}
        wire = {**wire, "strategies": [{**wire["strategies"][0], "constraints": [digits]}]}
        store.put_definitions(session, "production", [wire], actor="before", now=datetime.now(UTC))
    said = run("flags", "check", fails=True)
    assert said.startswith("production: look: strategies[0].constraints[0].value:")
    (found,) = json.loads(run("flags", "check", "--json", fails=True))["flags"]
    assert (found["environment"], found["flag"]) == ("production", "look")


def test_a_flag_is_shown_and_edited_by_its_version(run: Run, tmp_path: Path, app: Flask) -> None:
    run("flags", "create", "look", "--on", "production")
    file = tmp_path / "edit.json"
    file.write_text(json.dumps({"strategies": [{"name": "userWithId", "parameters": {"userIds": "7"}}]}))
    edit = ("flags", "edit", "look", str(file), "--reason", "Only seven.", "--version", "1")
    assert run(*edit) == "look is at version 2 in production.\n"
    assert json.loads(run("flags", "show", "look"))["environments"]["production"]["version"] == 2
    assert "changed meanwhile" in run(*edit, fails=True)
    file.write_text(json.dumps({"name": "other"}))
    assert "nothing else" in run(*edit, fails=True)
    with app.app_context(), read_only() as session:
        (entry, *_) = audit.latest(session, subject="flag:look")
    assert (entry.action, entry.reason) == ("flag.update", "Only seven.")
