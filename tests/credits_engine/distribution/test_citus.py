"""The statements that spread a database: in an order that holds, whole, and none that was executed already."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from credits_engine.distribution.citus import TRIGGERS, DistributionState, Function, statements
from credits_engine.distribution.tables import DISTRIBUTED, REFERENCE, Kind, Placement
from tests.control_plane.conftest import Run, console, rollout

__all__ = ["console", "rollout"]

PLACED = [
    *(Placement(table, Kind.REFERENCE) for table in sorted(REFERENCE)),
    *(Placement(table, Kind.DISTRIBUTED, column) for table, column in DISTRIBUTED.items()),
    Placement("billing_event", Kind.LOCAL),
]
FUNCTIONS = [
    Function("credit_answer", "credit_answer(text)", has_settings=True),
    Function("credit_answer_many", "credit_answer_many(text[])", has_settings=True),
    Function("credit_sum", "credit_sum(bigint[],bigint[])"),
]
BEFORE = DistributionState(
    triggers={
        ("credit_journal", "credit_journal_no_change"),
        ("credit_kind", "credit_kind_granted"),
        ("audit_entry", "audit_entry_no_change"),
    },
    functions=FUNCTIONS,
)


def test_every_table_is_moved_once_beside_the_users_and_local_ones_stay() -> None:
    words = statements(PLACED, BEFORE)
    moved = [match for each in words if (match := re.match(r"SELECT create_\w+_table\('(\w+)'", each))]
    assert sorted(match[1] for match in moved) == sorted({*REFERENCE, *DISTRIBUTED})
    spread = [each for each in words if "create_distributed_table" in each]
    assert spread[0] == "SELECT create_distributed_table('directory_user', 'user_id')"
    assert all(each.endswith(", colocate_with => 'directory_user')") for each in spread[1:])
    assert "SELECT create_distributed_table('credit_member_entry', 'account_user_id'" in "\n".join(spread)


def test_copies_come_before_what_refers_to_them() -> None:
    words = statements(PLACED, BEFORE)
    place = {each: number for number, each in enumerate(words)}
    last_copy = max(place[each] for each in words if "create_reference_table" in each)
    assert last_copy < min(place[each] for each in words if "create_distributed_table" in each)
    assert (
        place["SELECT create_reference_table('credit_kind')"] < place["SELECT create_reference_table('credit_limit')"]
    )


def test_triggers_of_moved_tables_go_first_and_those_that_shards_can_run_come_last() -> None:
    words = statements(PLACED, BEFORE)
    assert words[0] == "SET citus.enable_unsafe_triggers = on"
    assert words[1:3] == [
        "DROP TRIGGER credit_journal_no_change ON credit_journal",
        "DROP TRIGGER credit_kind_granted ON credit_kind",
    ]
    made = words[-len(TRIGGERS) :]
    assert all(each.startswith("CREATE TRIGGER") for each in made)
    (refusal,) = (each for each in made if " credit_journal_no_change " in each)
    assert "BEFORE UPDATE OR DELETE ON credit_journal FOR EACH ROW" in refusal
    assert not any("audit_entry" in each for each in words)


def test_functions_are_called_where_the_account_is_and_planned_for_it() -> None:
    words = statements(PLACED, BEFORE)
    assert "ALTER FUNCTION credit_answer(text) RESET ALL" in words
    called = "SELECT create_distributed_function('credit_answer(text)', 'of_user', colocate_with => 'directory_user')"
    assert called in words
    assert "SELECT create_distributed_function('credit_sum(bigint[],bigint[])')" in words
    assert any(each.startswith("CREATE OR REPLACE FUNCTION credit_answer_many") for each in words)


def test_what_an_earlier_attempt_did_is_left_out() -> None:
    done = {"credit_journal", "directory_user"}
    words = statements(PLACED, replace(BEFORE, tables=done))
    assert not any(f"_table('{table}'" in each for table in done for each in words)
    assert "DROP TRIGGER credit_journal_no_change ON credit_journal" not in words
    assert any(each.startswith("CREATE TRIGGER credit_journal_no_truncate") for each in words), "it was not made yet"


def test_nothing_is_left_of_a_database_that_is_spread() -> None:
    functions = [
        *(replace(each, has_settings=False, is_distributed=True, has_account=True) for each in FUNCTIONS),
        Function("credit_is_coordinator", "credit_is_coordinator()", is_distributed=True),
    ]
    triggers = [(table, name) for name, (table, _) in TRIGGERS.items()]
    assert statements(PLACED, DistributionState({*REFERENCE, *DISTRIBUTED}, triggers, functions)) == []


def test_a_postgresql_without_citus_is_told_so_and_shown_what_would_be_done(rollout: Run, postgresql_url: str) -> None:
    checked = rollout("db", "check-distribution", DATABASE_URL=postgresql_url)
    assert (checked.returncode, "NO " in checked.stdout) == (0, False)
    shown = rollout("db", "distribute", "--dry-run", DATABASE_URL=postgresql_url)
    assert shown.returncode == 0
    lines = shown.stdout.splitlines()
    assert lines[0] == "SET citus.enable_unsafe_triggers = on;"
    assert "DROP TRIGGER credit_pack_entry_account ON credit_pack_entry;" in lines
    assert any(line.startswith("ALTER FUNCTION credit_operate(") for line in lines)
    refused = rollout("db", "distribute", DATABASE_URL=postgresql_url)
    assert (refused.returncode, "Citus is not installed" in refused.stderr) == (1, True)


def test_sqlite_can_not_be_spread(rollout: Run) -> None:
    refused = rollout("db", "distribute")
    assert (refused.returncode, "SQLite" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("statement", "code"),
    [("SELECT * FROM credit_pack FOR UPDATE", 1), ("SELECT * FROM credit_pack WHERE credit_pack.user_id = $1", 0)],
)
def test_a_statement_that_crosses_accounts_stands_against_it(
    rollout: Run, postgresql_url: str, tmp_path: Path, statement: str, code: int
) -> None:
    path = tmp_path / "statements.sql"
    path.write_text(f"{statement};\n")
    done = rollout("db", "distribute", "--dry-run", "--statements", str(path), DATABASE_URL=postgresql_url)
    assert done.returncode == code
    assert ("may be any account's" in done.stderr) is bool(code)
