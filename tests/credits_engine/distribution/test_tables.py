"""Tables by their keys, and the command that shows both."""

import json
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from credits_engine.distribution.tables import DISTRIBUTED, REFERENCE, Kind, TableKeys, placements
from tests.control_plane.conftest import Run, console, rollout

__all__ = ["console", "rollout"]

KEY, USER = "id", "user_id"


def test_a_key_without_the_account_stands_against_spreading() -> None:
    tables = [
        TableKeys("usage_counters", frozenset({USER, KEY}), [[USER, KEY]]),
        TableKeys("credit_journal", frozenset({USER, KEY}), [[KEY]]),
        TableKeys("credit_pack_entry", frozenset({KEY}), [[KEY]]),
        TableKeys("credit_freeze", frozenset({USER}), [[USER]]),
        TableKeys("billing_event", frozenset({KEY}), [[KEY]]),
        TableKeys("flag", frozenset({KEY}), [[KEY]]),
    ]
    found = {each.table: (each.kind, len(each.reasons)) for each in placements(tables)}
    assert found == {
        "usage_counters": (Kind.DISTRIBUTED, 0),
        "credit_journal": (Kind.DISTRIBUTED, 1),
        "credit_pack_entry": (Kind.DISTRIBUTED, 1),
        "credit_freeze": (Kind.REFERENCE, 0),
        "billing_event": (Kind.LOCAL, 0),
    }


def test_every_table_that_is_named_exists(postgresql_url: str) -> None:
    engine = create_engine(postgresql_url)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    assert (DISTRIBUTED.keys() | REFERENCE) - names == set()


def test_the_command_says_what_stands_against_it(rollout: Run, tmp_path: Path) -> None:
    statements = tmp_path / "statements.sql"
    statements.write_text(
        "SELECT * FROM usage_counters WHERE usage_counters.user_id = $1;\nSELECT * FROM credit_pack FOR UPDATE;\n"
    )
    done = rollout("db", "check-distribution", "--statements", str(statements), "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    tables = {each["table"]: each for each in found["tables"]}
    assert tables["credit_reservation"] == {
        "table": "credit_reservation",
        "kind": "distributed",
        "column": "user_id",
        "reasons": [],
    }
    assert "lacks user_id" in tables["credit_journal"]["reasons"][0]
    assert [each["reach"] for each in found["statements"]] == ["one account", "crosses"]
    words = rollout("db", "check-distribution").stdout
    assert "NO   credit_journal" in words
    assert "ok   usage_counters" in words
    missing = rollout("db", "check-distribution", "--statements", str(tmp_path / "nothing"))
    assert missing.returncode == 2


@pytest.mark.parametrize("command", ["upgrade", "check-distribution", "distribute"])
def test_the_commands_of_the_database_are_found_by_name(rollout: Run, command: str) -> None:
    assert rollout("db", command, "--help").returncode == 0
