"""The command line as people and scripts use it: words or JSON, exit codes 0, 1 and 2, one sentence for a failure."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from control_plane.cli import command_line
from tests.control_plane.conftest import ROOT, CommandResult, Run

COMMANDS = (
    "serve replay demo status plan advance hold resume step-back rollback rearm explain token account db alerts "
    "credits audit directory"
)


def answer(done: CommandResult) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_help_tells_of_every_command(program: Run) -> None:
    listed, commands = program("--help").stdout, command_line()
    for command in COMMANDS.split():
        assert f"  {command} " in listed, command
        help_text = CliRunner().invoke(commands, [command, "--help"])
        assert help_text.exit_code == 0
        assert len(help_text.output.splitlines()) > 3


def test_a_rollout_is_planned_held_and_rolled_back(rollout: Run, program: Run) -> None:
    assert answer(rollout("plan", "--json"))["phase"] == "development"
    assert answer(rollout("hold", "--reason", "Support asked.", "--json"))["state"] == "held"
    assert answer(rollout("resume", "--reason", "Settled.", "--json"))["state"] == "running"
    for _ in range(2):
        assert answer(rollout("rollback", "--reason", "Double charges.", "--json"))["state"] == "rolled_back"
    status = program("status")
    assert status.returncode == 0
    assert "rolled back" in status.stdout
    assert answer(rollout("audit", "verify", "--json"))["first_broken"] is None


def test_the_plan_of_the_documentation_is_made_as_it_stands_there(rollout: Run, tmp_path: Path) -> None:
    written = re.findall(r"```yaml\n(.+?)```", (ROOT / "docs" / "plans.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    path = tmp_path / "plan.yaml"
    path.write_text(written)
    made = answer(rollout("plan", "--flag", "SEARCH", "--file", str(path), "--json"))
    assert [phase["audience"] for phase in made["plan"]["phases"]] == [
        *("environments", "attributes", "new_signups", "everyone")
    ]
    assert [each["operator"] for each in made["plan"]["phases"][1]["constraints"]] == ["IN", "STR_STARTS_WITH"]
    path.write_text(written.replace("STR_STARTS_WITH", "RESEMBLES"))
    refused = rollout("plan", "--flag", "OTHER", "--file", str(path))
    assert refused.returncode == 1
    assert "phases.1.constraints.1.operator" in refused.stderr


def test_that_users_lose_a_flag_is_confirmed_with_the_plan_and_with_the_step(rollout: Run, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    phases = [
        {"name": name, "title": name, "audience": "environments", "environments": [name], "steps": [100], "soak": 0}
        for name in ("staging", "qa")
    ]
    path.write_text(json.dumps({"new_signups_after": "2026-01-01T00:00:00Z", "phases": phases}))
    for command in (("plan", "--file", str(path)), ("advance", "--approve", "Agreed.")):
        refused = rollout(*command, "--flag", "SEARCH")
        assert refused.returncode == 1
        assert "The environment staging is no longer on as a whole." in refused.stderr
        assert answer(rollout(*command, "--flag", "SEARCH", "--confirm-losing", "--json"))["flag"] == "SEARCH"


def test_a_refusal_is_one_sentence_with_exit_code_1(program: Run, rollout: Run) -> None:
    rollout("plan")
    refused = program("advance")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "soak time of this step lasts until" in refused.stderr
    early = rollout("rearm", "--reason", "Fixed.")
    assert (early.returncode, early.stderr.count("Error: ")) == (1, 1)
    assert "not rolled back" in early.stderr


def test_a_rollback_says_who_keeps_the_flag_and_takes_it_from_there_too(rollout: Run) -> None:
    rollout("plan")
    narrow = rollout("rollback", "--reason", "Errors.")
    assert "Development and staging keep the flag. `rollback --everywhere` takes it from there too." in narrow.stdout
    asked = ("explain", "ENABLE_CREDITS_V2", "u1", "--environment", "staging", "--json")
    assert answer(rollout(*asked))["value"] is True
    assert "keep the flag" not in rollout("rollback", "--everywhere", "--reason", "There too.").stdout
    assert (answer(rollout(*asked))["value"], answer(rollout(*asked))["reason"]) == (False, "DISABLED")
    assert answer(rollout("status", "--json"))["latch"] == "everywhere"


def test_misuse_ends_with_exit_code_2(program: Run, rollout: Run) -> None:
    assert program("rollback").returncode == 2
    assert rollout("no-such-command").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (("status",), {}, "no rollout"),
        (("status", "--flag", "ENABLE_CREDTIS_V2"), {}, "ENABLE_CREDTIS_V2"),
        (("explain", "ENABLE_CREDTIS_V2", "u1"), {}, "check its spelling"),
        (("status",), {"ENABLE_CREDITS_V2": "maybe"}, "write true, false or leave it unset"),
        (("serve",), {"PORT": "eighty"}, "whole number from 1 to 65535"),
        (("serve",), {"ALERTS_FILE": "missing.yaml"}, "can't be read"),
        (("status",), {"DATABASE_URL": "sqlite:///nowhere.db"}, "There is no database at "),
        (("status",), {"DATABASE_URL": "postgresql://127.0.0.1:1/none"}, "DATABASE_URL"),
        (("alerts", "check", "missing.yaml"), {}, "can't be read"),
        (("replay", "missing.csv"), {}, "can't be read"),
        (("replay", "missing.csv", "--fault", "nonsense"), {}, "can't be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    rollout: Run, program: Run, arguments: tuple[str, ...], environment: dict[str, str], sentence: str
) -> None:
    run = program if "serve" in arguments else rollout  # what serves by mistake must not do so in this process
    failed = run(*arguments, **environment)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert sentence in failed.stderr


def _reasons(group: click.Group) -> Iterator[tuple[click.Command, click.Parameter]]:
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from _reasons(command)
        yield from ((command, each) for each in command.params if each.name == "reason" and each.required)


def test_no_command_takes_blanks_for_a_reason() -> None:
    found = list(_reasons(command_line()))
    assert len(found) > 20
    for command, reason in found:
        with pytest.raises(click.UsageError, match="Say why: a reason is required"):
            reason.process_value(click.Context(command), " \t")


def test_broken_alerts_are_named_by_line_and_stop_the_start(rollout: Run, program: Run, tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("alerts:\n  api_error_rate:\n    threshold: 5 apples\n    window: 1m\n    severity: critical\n")
    checked = rollout("alerts", "check", str(broken))
    assert (checked.returncode, checked.stdout.startswith("Line 3")) == (1, True)
    started = program("serve", ALERTS_FILE=str(broken))
    assert started.returncode == 1
    assert "Line 3" in started.stderr


def test_who_is_explained_without_being_known_gets_a_reason(rollout: Run) -> None:
    rollout("plan")
    explained = answer(rollout("explain", "ENABLE_CREDITS_V2", "u1", "--json"))
    assert explained["value"] is False
    assert explained["trace"][0]["rule"] == "environment_variable"
    assert "1." in rollout("explain", "ENABLE_CREDITS_V2", "u1").stdout


@pytest.mark.parametrize(
    "command",
    [
        ("audit", "list", "--cursor", str(2**63)),
        ("billing", "dismiss", str(2**63), "--reason", "x"),
        ("credits", "revoke-pack", str(2**63), "--reason", "x"),
        ("plan", "export", "--version", str(2**63)),
        ("plan", "restore", str(2**63), "--reason", "x"),
        ("token", "create", "shop", "--type", "client", "--days", "3651"),
        ("token", "revoke", str(2**63), "--reason", "x"),
    ],
)
def test_a_number_that_cannot_be_kept_is_a_mistake_of_the_command_line(rollout: Run, command: tuple[str, ...]) -> None:
    refused = rollout(*command)
    assert refused.returncode == 2
    assert "is not in the range" in refused.stderr


def test_people_and_tokens_are_made_once_and_shown_once(rollout: Run) -> None:
    made = answer(rollout("account", "add", "olga", "--role", "operator", "--json"))
    assert len(made["password"]) >= 12
    assert rollout("account", "add", "olga").returncode == 1
    token = answer(rollout("token", "create", "shop", "--type", "client", "--json"))["token"]
    assert token.startswith("*:production.v2_")
