"""The functions of PostgreSQL as somebody at psql meets them: answers, mistakes, and the lines of the runbook."""

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.migrations import downgrade, upgrade
from control_plane.platform.db.database import read_only, transaction
from credits_engine.api import serializers
from credits_engine.engines.receipts import from_columns
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store.tables import BILLING
from tests import postgres
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
PSQL = re.compile(r'^psql -c "(.+)"$', re.MULTILINE)

pytestmark = pytest.mark.database("postgresql")


def test_the_answer_is_the_receipt_that_the_api_gives(consumer: Consumer) -> None:
    consumer.user("ada")
    words = '{"idempotencyKey": "k1", "postId": 7}'
    with transaction() as session:
        query = text("SELECT consume_credits('ada', 'roast', 2, 'reply', 'web', :words)")
        first, again = (session.scalar(query, {"words": words}) for _ in range(2))
    (row,) = consumer.journal("ada")
    assert (first.pop("replayed"), again.pop("replayed")) == (False, True)
    assert first == again == serializers.receipt_document(from_columns(row))
    assert row["context"] == {"actionType": "reply", "platform": "web", "metadata": {"postId": 7}}
    assert str(row["actor"]).startswith("psql:")
    consumer.now = row["occurred_at"]
    assert consumer.take("ada", "k1", roast=2).replayed


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ("'ada', 'both', 1", "There is no credit type 'both'; use analysis or roast."),
        ("'ada', 'roast', 0", "The amount is 0; use 1 to 1000000."),
        ("'ada', 'roast', NULL", "The amount is <NULL>; use 1 to 1000000."),
        ("'ada', 'roast', metadata => '{\"idempotencyKey\": \"\"}'", "An idempotencyKey has 1 to 200 characters"),
        ("'eve', 'roast'", "User 'eve' is not in the directory; add the user first."),
    ],
)
def test_a_mistake_is_answered_with_a_sentence_and_leaves_nothing(
    consumer: Consumer, arguments: str, mistake: str
) -> None:
    consumer.user("ada")
    with pytest.raises(DBAPIError, match=re.escape(mistake)), transaction() as session:
        session.execute(text(f"SELECT consume_credits({arguments})"))
    assert consumer.journal("ada") == []


def test_what_billing_has_not_settled_is_refused_instead_of_guessed(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        due_at = NOW - timedelta(days=365)
        row = {"user_id": "ada", "original_plan": "free", "reason": "", "due_at": due_at, "updated_at": NOW}
        session.execute(insert(BILLING), row)
    for query in (text("SELECT consume_credits('ada', 'roast')"), _period("ada", NOW)):
        with pytest.raises(DBAPIError, match="has been due since 2026"), transaction() as session:
            session.execute(query)


def test_the_server_settings_of_an_environment_can_be_given_to_the_database(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        session.execute(text("SET LOCAL rollout.environment = 'staging'"))
        assert session.scalar(text("SELECT consume_credits('ada', 'roast') ->> 'engine'")) == "v2"
        session.execute(text("SET LOCAL rollout.enable_credits_v2 = 'false'"))
        assert session.scalar(text("SELECT consume_credits('ada', 'roast') ->> 'engine'")) == "legacy"


def test_a_period_is_opened_once_with_the_limits_of_the_plan_that_is_paid_for(consumer: Consumer) -> None:
    consumer.user("ada", "pro", anchor=NOW - timedelta(days=40))
    with transaction() as session:
        rows = [session.execute(_period("ada", NOW)).one() for _ in range(2)]
    assert rows[0] == rows[1]
    assert rows[0].limits == [10_000, 1_000]
    assert consumer.books("ada").v2.period.end == rows[0].period_end


def test_the_lines_for_psql_run_as_they_stand_in_the_page(
    consumer: Consumer, database_url: str, tmp_path: Path
) -> None:
    consumer.user("user_id")
    queries = PSQL.findall(PAGE.read_text(encoding="utf-8"))
    assert len(queries) == 4
    shown = [_psql(database_url, query, tmp_path) for query in queries[:3]]
    assert '"outcome": "allowed"' in shown[0]
    assert shown[1].count("user_id|") == shown[2].count("user_id|") == 1


def test_a_month_of_the_journal_is_copied_out_by_the_statement_of_the_page(
    consumer: Consumer, database_url: str, tmp_path: Path
) -> None:
    consumer.user("ada")
    for month in (9, 10, 11):
        for day in (1, 15, 28):
            consumer.now = datetime(2026, month, day, tzinfo=UTC)
            consumer.take("ada", f"{month}-{day}", analysis=1)
    (line,) = (query for query in PSQL.findall(PAGE.read_text(encoding="utf-8")) if "copy" in query)
    assert _psql(database_url, line, tmp_path).strip() == "COPY 3"
    copied = (tmp_path / "credit_journal-2026-10.csv").read_text().splitlines()
    assert [row.split(",")[1][:10] for row in copied] == ["occurred_a", "2026-10-01", "2026-10-15", "2026-10-28"]


def test_going_down_and_up_again_keeps_what_the_functions_wrote(consumer: Consumer) -> None:
    consumer.user("ada")
    with transaction() as session:
        session.execute(text("SELECT consume_credits('ada', 'roast', 2)"))
    before = consumer.journal("ada")
    downgrade("0009")
    with read_only() as session:
        columns = "requested_analysis, requested_roast, v2_posted_roast, v2_limit_analysis, v2_limit_roast"
        assert session.execute(text(f"SELECT {columns} FROM credit_journal")).one() == (0, 2, 2, 100, 10)  # noqa: S608
    upgrade()
    assert consumer.journal("ada") == before
    with transaction() as session:
        session.execute(text("SELECT consume_credits('ada', 'roast', 2)"))
    with read_only() as session:
        assert reconcile(session).clean
    assert len(consumer.journal("ada")) == 2


def _period(user_id: str, moment: Any) -> Any:
    return text("SELECT * FROM get_or_create_active_period(:user_id, :moment)").bindparams(
        user_id=user_id, moment=moment
    )


def _psql(database_url: str, query: str, folder: Path) -> str:
    command = [str(postgres.program("psql")), "--no-psqlrc", "--no-align", "--tuples-only", database_url, "-c", query]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
