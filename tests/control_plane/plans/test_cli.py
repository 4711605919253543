"""`rollout plan …` and the commands on whole flags, as people and scripts use them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from control_plane.plans import document
from tests.control_plane.conftest import ROOT, CommandResult, Run

PLAN = """flag: SEARCH
new_signups_after: 2026-07-01T00:00:00Z
phases:
  - {name: all, title: All, audience: everyone, steps: [10, 100], soak: P0D}
"""


def answer(done: CommandResult) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A plan in a file."""
    written = tmp_path / "plan.yaml"
    written.write_text(PLAN)
    return written


def test_a_plan_is_applied_changed_and_exported_as_it_was_written(rollout: Run, path: Path, tmp_path: Path) -> None:
    rollout("db", "upgrade")
    dry = answer(rollout("plan", "apply", str(path), "--dry-run", "--json"))
    assert (dry["exists"], dry["stands_at"]["percentage"]) == (False, 10)
    assert rollout("status", "--flag", "SEARCH").returncode == 1
    made = rollout("plan", "apply", str(path))
    assert "The plan is made; it is version 1." in made.stdout
    exported = rollout("plan", "export", "--flag", "SEARCH").stdout
    again = tmp_path / "again.yaml"
    again.write_text(exported)
    assert answer(rollout("plan", "apply", str(again), "--json"))["plan"] == "unchanged"
    assert rollout("plan", "diff", str(again)).stdout.strip() == "Nothing differs."
    path.write_text(f"{PLAN}owner: alice\n")
    assert "+owner: alice" in rollout("plan", "diff", str(path)).stdout
    refused = rollout("plan", "apply", str(path))
    assert (refused.returncode, "Say why" in refused.stderr) == (1, True)
    assert (
        "The plan is changed; it is version 2." in rollout("plan", "apply", str(path), "--reason", "An owner.").stdout
    )
    versions = rollout("plan", "versions", "--flag", "SEARCH").stdout
    assert [line.split()[0] for line in versions.splitlines()] == ["2", "1"]
    restored = answer(rollout("plan", "restore", "1", "--flag", "SEARCH", "--reason", "Back.", "--json"))
    assert restored["plan_version"] == 3
    first = rollout("plan", "export", "--flag", "SEARCH", "--version", "1").stdout
    assert document.parse(first).plan == document.parse(PLAN).plan


def test_a_change_that_takes_the_flag_from_users_is_confirmed(rollout: Run, path: Path) -> None:
    rollout("db", "upgrade")
    rollout("plan", "apply", str(path))
    path.write_text(PLAN.replace("10, 100", "5"))
    refused = rollout("plan", "apply", str(path), "--reason", "Smaller.")
    assert refused.returncode == 1
    assert (
        "The edit takes the flag from 0 known users in production: Everyone goes down from 10 % to 5 %."
        in refused.stderr
    )
    dry = rollout("plan", "apply", str(path), "--dry-run").stdout
    assert "production: 0 known users gain, 0 lose. Everyone: from 10 % to 5 %." in dry
    assert "Refused: The edit takes the flag" in dry
    assert rollout("plan", "apply", str(path), "--reason", "Smaller.", "--confirm-losing").returncode == 0


def test_mistakes_are_named_by_line_and_the_flag_has_to_be_said(rollout: Run, path: Path) -> None:
    rollout("db", "upgrade")
    path.write_text(PLAN.replace("soak", "sook"))
    broken = rollout("plan", "apply", str(path))
    assert (broken.returncode, broken.stdout) == (1, "")
    assert "Line 4, phases.0.sook: is no field here; did you mean soak." in broken.stderr
    path.write_text(PLAN.replace("flag: SEARCH\n", ""))
    assert "Say which flag" in rollout("plan", "apply", str(path)).stderr
    assert answer(rollout("plan", "apply", str(path), "--flag", "SEARCH", "--json"))["flag"] == "SEARCH"
    path.write_text(PLAN)
    assert "The file is for SEARCH, not for OTHER." in rollout("plan", "apply", str(path), "--flag", "OTHER").stderr
    path.write_bytes(b"\xff\xfe")
    assert "no text in UTF-8" in rollout("plan", "diff", str(path)).stderr


def test_templates_are_files_to_begin_with(rollout: Run, tmp_path: Path) -> None:
    rollout("db", "upgrade")
    names = [line.split()[0] for line in rollout("plan", "template").stdout.splitlines()]
    assert "migration-with-shadow" in names
    for name in names:
        path = tmp_path / f"{name}.yaml"
        path.write_text(rollout("plan", "template", name, "--flag", f"X-{name}").stdout)
        assert answer(rollout("plan", "apply", str(path), "--json"))["flag"] == f"X-{name}"
    assert "There is no template 'nonsense'" in rollout("plan", "template", "nonsense").stderr
    schema = json.loads(rollout("plan", "schema").stdout)
    assert schema["properties"]["flag"]
    listed = answer(rollout("list", "--search", "x-kill", "--json"))["rollouts"]
    assert [(each["flag"], each["type"]) for each in listed] == [("X-kill-switch", "kill-switch")]


def test_a_flag_is_archived_revived_and_deleted(rollout: Run, path: Path) -> None:
    rollout("db", "upgrade")
    rollout("plan", "apply", str(path))
    options = ("--flag", "SEARCH", "--reason", "Over.", "--json")
    assert rollout("archive", *options).returncode == 1
    rollout("rollback", *options)
    assert answer(rollout("archive", *options))["state_reason"] == "Archived: Over."
    assert rollout("list").stdout.strip() == ""
    assert "SEARCH" in rollout("list", "--state", "archived").stdout
    assert answer(rollout("revive", *options))["state"] == "rolled_back"
    assert rollout("delete", *options).returncode == 1
    rollout("archive", *options)
    assert rollout("delete", *options).returncode == 0
    assert "There is no rollout of 'SEARCH'" in rollout("status", "--flag", "SEARCH").stderr


def test_an_approval_by_whoever_made_the_plan_is_refused(rollout: Run, path: Path) -> None:
    rollout("db", "upgrade")
    path.write_text(PLAN.replace("soak: P0D", "soak: P0D, gates: {approvals: {quorum: 1}}"))
    rollout("plan", "apply", str(path))
    own = rollout("approve", "--flag", "SEARCH", "--reason", "Fine.")
    assert (own.returncode, "somebody else approves" in own.stderr) == (1, True)
    assert "closed   approvals: 0 of 1 approvals" in rollout("status", "--flag", "SEARCH").stdout
    none = rollout("approve", "--flag", "SEARCH", "--withdraw", "--reason", "Not so fine.")
    assert (none.returncode, "approves nothing here that could be taken back" in none.stderr) == (1, True)


def test_every_plan_in_the_documentation_can_be_applied() -> None:
    written = (ROOT / "docs" / "plans.md").read_text(encoding="utf-8")
    for text in re.findall(r"```yaml\n(.+?)```", written, re.DOTALL):
        assert document.parse(text).plan.phases


def test_the_segment_that_a_file_names_is_looked_up_and_what_became_of_it_is_said(
    rollout: Run, path: Path, tmp_path: Path
) -> None:
    rollout("db", "upgrade")
    path.write_text(PLAN.replace("audience: everyone", "audience: attributes, segment: beta"))
    unknown = rollout("plan", "apply", str(path))
    assert "phases.0.segment: names no segment of production, which has none to be named" in unknown.stderr
    export = tmp_path / "export.json"
    for plan in ("pro", "team"):
        constraint = {"contextName": "plan", "operator": "IN", "values": [plan]}
        export.write_text(json.dumps({"segments": [{"id": 1, "name": "beta", "constraints": [constraint]}]}))
        imported = rollout("flags", "import", str(export), "--environment", "production", "--reason", "Beta.")
        assert imported.returncode == 0, imported.stderr
        if plan == "pro":
            assert rollout("plan", "apply", str(path)).returncode == 0
    told = (
        "Segment beta was changed after the plan took its conditions; phase All keeps those until the plan is applied "
        "again."
    )
    assert told in rollout("status", "--flag", "SEARCH").stdout.splitlines()
    compared = rollout("plan", "diff", str(path)).stdout.splitlines()
    assert ("-    - pro" in compared, "+    - team" in compared, compared[-1]) == (True, True, told)
    dry = rollout("plan", "apply", str(path), "--dry-run").stdout
    assert "Customers of segment beta, whose plan is pro: from 10 % to 0 %." in dry
    exported = rollout("plan", "export", "--flag", "SEARCH").stdout
    assert ("segment: beta" in exported, "constraints" in exported) == (True, False)
    whole = rollout("plan", "export", "--flag", "SEARCH", "--without-segments").stdout
    assert document.parse(whole).plan.phases[0].constraints[0].values == ("pro",)
