import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import update

from control_plane.platform.db.database import transaction
from credits_engine.cli import register
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Outcome
from credits_engine.store.tables import COUNTERS
from tests.credits_engine.conftest import Consumer

pytestmark = pytest.mark.usefixtures("console")


@pytest.fixture
def console(consumer: Consumer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on the consumer's database."""
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=7)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))


def terminal(*arguments: str) -> Result:
    rollout = click.Group()
    register(rollout)
    return CliRunner().invoke(rollout, ("credits", *arguments))


def test_the_status_of_a_user_shows_both_books_and_who_serves() -> None:
    shown = terminal("status", "ada")
    assert shown.exit_code == 0, shown.output
    assert "served by legacy (DEFAULT: no rollout is planned)" in shown.output
    assert "v2      analysis 7 of 100, roast 0 of 10" in shown.output
    document = json.loads(terminal("status", "ada", "--json").output)
    assert document["books"]["legacy"]["roast"] == {"used": 0, "limit": 50, "bought": 0, "remaining": 50}


def test_an_unknown_user_is_one_sentence_and_exit_code_1() -> None:
    shown = terminal("status", "nobody")
    assert shown.exit_code == 1
    assert shown.output.startswith("Error: User 'nobody' is not in the directory;")


def test_an_unknown_plan_is_one_sentence(consumer: Consumer) -> None:
    consumer.user("ada", "gold")
    assert "Error: Plan 'gold' is not in the catalogue" in terminal("status", "ada").output


def test_reconcile_answers_by_exit_code(consumer: Consumer) -> None:
    assert (terminal("reconcile").exit_code, terminal("reconcile").output) == (0, "2 book rows checked, 0 differ.\n")
    with transaction() as session:
        session.execute(update(COUNTERS).values(used=Amounts(analysis=9)))
    shown = terminal("reconcile")
    assert shown.exit_code == 1
    assert "book 9/0, journal 7/0" in shown.output
    document = json.loads(terminal("reconcile", "--json").stdout)
    assert (document["found"], document["differences"][0]["userId"]) == (1, "ada")


def test_corrections_name_their_reason_and_move_both_books(consumer: Consumer) -> None:
    assert terminal("adjust", "ada", "--analysis", "3").exit_code == 2
    shown = terminal("adjust", "ada", "--analysis", "3", "--reason", "goodwill", "--key", "a1")
    assert shown.exit_code == 0, shown.output
    assert "legacy used -3 analysis; v2 used -3 analysis" in shown.output
    assert "can't be given back" in terminal("adjust", "ada", "--roast", "1", "--reason", "x").output
    assert terminal("reset", "ada", "--reason", "manual_reset").exit_code == 0
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used == Amounts()
    assert terminal("reset", "nobody", "--reason", "x").exit_code == 1


def test_all_consumption_stops_and_goes_on_by_one_command_each(consumer: Consumer) -> None:
    assert "is stopped for everybody: drill" in terminal("freeze", "--everybody", "--reason", "drill").output
    assert consumer.take("ada", "k2", analysis=1).outcome is Outcome.DENIED_STATE
    assert "was already stopped" in terminal("freeze", "--everybody", "--reason", "drill").output
    assert "is allowed again for everybody" in terminal("unfreeze", "--everybody", "--reason", "over").output
    assert consumer.take("ada", "k3", analysis=1).outcome is Outcome.ALLOWED
    assert terminal("freeze", "--reason", "x").exit_code == 1


def test_a_missing_argument_is_exit_code_2() -> None:
    assert terminal("status").exit_code == 2


def test_a_pack_is_given_shown_and_revoked(consumer: Consumer) -> None:
    given = terminal("top-up", "ada", "roast", "5", "--days", "30", "--key", "b1", "--reason", "Invoice 7")
    assert given.exit_code == 0, given.output
    assert "pack 1 moved by +5 roast" in given.output
    assert "pack 1: 5 of 5 bought roast left" in terminal("status", "ada").output
    consumer.take("ada", "k2", roast=52)
    revoked = json.loads(terminal("revoke-pack", "1", "--reason", "Refunded", "--json").output)
    assert (revoked["moved"], revoked["remaining"]) == (-3, 0)
    again = terminal("revoke-pack", "1", "--reason", "Refunded")
    assert (again.exit_code, "nothing is left to revoke" in again.output) == (1, True)
