"""The commands of an emergency work from any folder, whatever has become of alerts.yaml."""

import os
import pwd
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from tests.control_plane.conftest import Run

EMERGENCY = [
    ("status",),
    ("rollback", "--reason", "v2 is wrong."),
    ("credits", "freeze", "--everybody", "--reason", "v2 is wrong."),
    ("explain", "ENABLE_CREDITS_V2", "u1"),
    ("credits", "verify"),
    ("backup", "copy.db"),
    ("audit", "verify"),
]


@pytest.fixture(params=["missing", "broken", "unreadable"])
def alerts_file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path of an alerts.yaml that can't be used."""
    path = tmp_path / "alerts.yaml"
    if request.param == "broken":
        path.write_text("alerts: [")
    elif request.param == "unreadable":
        path.write_bytes(b"\xff\xfe")
    return str(path)


@pytest.mark.parametrize("arguments", EMERGENCY, ids=" ".join)
def test_an_emergency_command_needs_no_alerts(rollout: Run, alerts_file: str, arguments: tuple[str, ...]) -> None:
    rollout("plan")
    done = rollout(*arguments, ALERTS_FILE=alerts_file)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [("status",), ("audit", "verify")], ids=" ".join)
@pytest.mark.database("sqlite")
def test_whoever_holds_the_write_lock_keeps_no_command_from_looking(
    rollout: Run, sqlite_url: str, arguments: tuple[str, ...]
) -> None:
    """Each command brings the schema up first, and used to wait for the lock to find nothing to do."""
    rollout("plan")
    with closing(sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = rollout(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_advances_while_no_alert_is_in_force(rollout: Run, alerts_file: str) -> None:
    rollout("plan")
    status = rollout("status", ALERTS_FILE=alerts_file).stdout
    assert "closed   guardrails: No alert is in force." in status
    assert "closed   safety: No alert is in force." in status
    refused = rollout("advance", "--approve", "Nobody looks.", ALERTS_FILE=alerts_file)
    assert refused.returncode == 1
    assert "No alert is in force." in refused.stderr


def test_no_rearming_while_no_alert_is_in_force(rollout: Run, alerts_file: str) -> None:
    rollout("plan")
    rollout("rollback", "--reason", "v2 is wrong.")
    refused = rollout("rearm", "--reason", "Mended.", ALERTS_FILE=alerts_file)
    assert refused.returncode == 1
    assert "No alert is in force." in refused.stderr


def test_a_stop_in_the_wrong_folder_makes_no_new_installation(rollout: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "rollout.db"
    done = rollout("credits", "freeze", "--everybody", "--reason", "Stop.", DATABASE_URL=f"sqlite:///{elsewhere}")
    assert done.returncode == 1
    assert f"There is no database at {elsewhere}" in done.stderr
    assert not elsewhere.parent.exists()


NOWHERE = {"INSTANCE_DIR": "instance", "SECRET_KEY": ""}
"""The settings of somebody who is in another folder than the installation's."""


@pytest.mark.parametrize("arguments", [("rollback", "--reason", "v2 is wrong."), ("alerts", "check")], ids=" ".join)
def test_a_command_leaves_nothing_in_the_folder_that_it_is_run_from(
    rollout: Run, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    before = set(tmp_path.iterdir())
    rollout(*arguments, **NOWHERE, DATABASE_URL=f"sqlite:///{tmp_path / 'elsewhere.db'}")
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("folder", ["instance", "/proc/instance"], ids=["empty", "not to be written"])
@pytest.mark.parametrize("database", ["sqlite_url", "postgresql_url"])
def test_a_rollback_needs_no_folder_and_says_that_the_trail_is_to_be_sealed(
    rollout: Run, request: pytest.FixtureRequest, tmp_path: Path, folder: str, database: str
) -> None:
    url = request.getfixturevalue(database)
    nowhere = {"DATABASE_URL": url, "SECRET_KEY": "", "INSTANCE_DIR": folder}
    rollout("plan", DATABASE_URL=url)
    before = set(tmp_path.iterdir())
    done = rollout("rollback", "--reason", "v2 is wrong.", **nowhere)
    assert (done.returncode, "rolled back" in done.stdout) == (0, True)
    assert "rollout audit seal" in done.stdout + done.stderr
    assert set(tmp_path.iterdir()) == before
    assert "can't be told without a key" in rollout("audit", "verify", **nowhere).stdout
    assert rollout("audit", "seal", "--reason", "Ours.", **nowhere).returncode == 1
    assert rollout("audit", "seal", "--reason", "Ours.", DATABASE_URL=url).returncode == 0
    assert rollout("audit", "verify", DATABASE_URL=url).returncode == 0


def test_a_container_whose_user_has_no_name_can_roll_back(rollout: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    rollout("plan")
    nobody: dict[str, object] = {}
    monkeypatch.setattr(pwd, "getpwuid", lambda _number: nobody["no name"])
    assert rollout("rollback", "--reason", "v2 is wrong.").returncode == 0
    assert f"uid-{os.getuid()}" in rollout("audit", "list").stdout


@pytest.mark.database("postgresql")
def test_a_database_that_takes_no_change_is_not_called_unreachable(rollout: Run, postgresql_url: str) -> None:
    rollout("plan", DATABASE_URL=postgresql_url)
    name = sql.Identifier(make_url(postgresql_url).database or "")
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    done = rollout("rollback", "--reason", "v2 is wrong.", DATABASE_URL=postgresql_url)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: The database is read only, so nothing was changed: ")


def test_a_new_database_is_made_where_it_is_asked_for(rollout: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    assert rollout("db", "upgrade", DATABASE_URL=url).returncode == 0
    assert rollout("plan", DATABASE_URL=url).returncode == 0


@pytest.fixture
def without_createdb(postgresql_url: str) -> Iterator[str]:
    """The URL of a database for a role that may use it and make no other."""
    name, password = f"plain_{secrets.token_hex(4)}", secrets.token_hex(8)
    role = sql.Identifier(name)
    with psycopg.connect(postgresql_url, autocommit=True) as owner:
        owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
        owner.execute(sql.SQL("GRANT pg_read_all_data, pg_write_all_data TO {}").format(role))
        yield make_url(postgresql_url).set(username=name, password=password).render_as_string(hide_password=False)
        owner.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
        owner.execute(sql.SQL("DROP OWNED BY {}").format(role))
        owner.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.database("postgresql")
def test_the_drill_says_which_right_it_lacks(rollout: Run, without_createdb: str) -> None:
    done = rollout("restore-test", DATABASE_URL=without_createdb)
    assert done.returncode == 1
    assert "CREATEDB" in done.stderr
    assert "Traceback" not in done.stderr
