"""`rollout audit`: list, export and verify, also against anchors that were kept elsewhere."""

import json
import sqlite3
from pathlib import Path

from tests.control_plane.conftest import Run


def test_it_lists_and_exports_what_a_filter_asks_for(rollout: Run, tmp_path: Path) -> None:
    rollout("plan")
    rollout("hold", "--reason", "Looking.")
    listed = rollout("audit", "list", "--flag", "ENABLE_CREDITS_V2", "--limit", "1")
    assert "rollout.hold  rollout:ENABLE_CREDITS_V2  Looking." in listed.stdout
    assert "Older ones follow with --cursor 2." in listed.stdout
    assert rollout("audit", "list", "--actor", "nobody").stdout.strip() == "No entry fits."
    assert rollout("audit", "export", "--action", "rollout.plan", "--output", str(tmp_path / "trail")).returncode == 0
    (line,) = (tmp_path / "trail").read_text().splitlines()
    assert json.loads(line)["after"]["plan"]["phases"], "the whole plan stands in the trail"
    assert rollout("audit", "list", "--since", "tomorrow").returncode == 1


def test_anchors_in_a_file_find_what_is_gone(rollout: Run, tmp_path: Path) -> None:
    rollout("plan")
    rollout("hold", "--reason", "Looking.")
    anchor = json.loads(rollout("audit", "verify", "--json").stdout)["anchor"]
    (tmp_path / "anchors").write_text(anchor + "\n")
    assert rollout("audit", "verify", "--anchor-file", str(tmp_path / "anchors")).returncode == 0
    with sqlite3.connect(tmp_path / "rollout.db") as database:
        database.execute("DROP TRIGGER audit_entry_no_delete")
        database.execute("DELETE FROM audit_entry")
        database.execute("UPDATE audit_head SET entries = 0, last_id = 0, last_hash = ?, seal = ''", ["0" * 64])
    rollout("resume", "--reason", "Nothing to see.")
    assert rollout("audit", "verify").returncode == 0
    found = rollout("audit", "verify", "--anchor-file", str(tmp_path / "anchors"))
    assert found.returncode == 1
    assert "cut off, replaced or restored" in found.stdout


def test_an_anchor_file_that_is_none_is_refused(rollout: Run, tmp_path: Path) -> None:
    (tmp_path / "anchors").write_text("nonsense\n")
    assert "ENTRIES:ID:HASH" in rollout("audit", "verify", "--anchor-file", str(tmp_path / "anchors")).stderr
    assert rollout("audit", "verify", "--anchor-file", str(tmp_path / "none")).returncode == 1
