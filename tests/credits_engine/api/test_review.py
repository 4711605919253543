"""Before the flag moves: whom a flip would hit, and whether the comparison is sound."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections
from credits_engine.engines import switch_preview, v2
from credits_engine.engines.amounts import KINDS, Amounts, Kind, Limits
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.engines.switch_preview import ENGINES
from credits_engine.migration.aa_test import run_aa_test
from credits_engine.migration.switch_preview import Preview, preview
from credits_engine.operations.consumption import Engines
from tests.credit_kinds import ROAST
from tests.credits_engine.administration.test_top_ups import buy
from tests.credits_engine.api.test_administration import Admin, admin, found
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import book, books
from tests.credits_engine.test_cli import terminal
from tests.statements import Sent, noted

__all__ = ["admin"]


def looked_at(consumer: Consumer, after: str = "", **options: int) -> Preview:
    with read_only() as session:
        return preview(session, after, now=consumer.now, **options)


def hit(seen: Preview) -> list[tuple[str, Kind, bool]]:
    return [(flip.user_id, flip.kind, flip.refused) for flip in seen.flips]


@given(served=books, other=books)
def test_whoever_is_listed_would_be_answered_otherwise_and_nobody_else(served: Book, other: Book) -> None:
    both = {EngineName.LEGACY: served, EngineName.V2: replace(other, bought=served.bought)}
    listed = {
        flip.kind: flip
        for flip in switch_preview.answer_diffs("ada", "free", both.__getitem__, serving=EngineName.LEGACY)
    }
    for kind in KINDS:
        request = Request("ada", Amounts(**{kind: 1}))
        now, then = (ENGINES[name](both[name], request).outcome is Outcome.ALLOWED for name in EngineName)
        assert (kind in listed) == (now is not then)
        if kind in listed:
            assert listed[kind].refused is now


def test_how_far_a_book_is_over_its_limit_is_said() -> None:
    both = {EngineName.LEGACY: book(limits=Limits(100, 50)), EngineName.V2: book(used=Amounts(0, 30))}
    (flip,) = switch_preview.answer_diffs("ada", "free", both.__getitem__, serving=EngineName.LEGACY)
    assert (flip.kind, flip.refused, flip.over, flip.limit) == (ROAST, True, 20, 10)
    assert "1 roast asked for, 0 left" in flip.reason


def test_a_preview_finds_whom_v2_would_refuse_and_writes_nothing(consumer: Consumer) -> None:
    for user in ("ada", "bob", "cyd"):
        consumer.user(user)
    consumer.take("ada", "k1", roast=12)
    consumer.take("bob", "k1", roast=9)
    before = len(consumer.journal("ada"))
    seen = looked_at(consumer)
    assert hit(seen) == [("ada", ROAST, True)]
    assert (seen.summary.users, seen.summary.refused, seen.summary.granted) == (3, {"free": 1}, {})
    assert hit(looked_at(consumer, amount=2)) == [("ada", ROAST, True), ("bob", ROAST, True)]
    assert len(consumer.journal("ada")) == before


def test_packs_upgrades_and_freezes_count_as_they_would_for_an_operation(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.take("ada", "k1", roast=12)
    buy(consumer, 5)
    assert hit(looked_at(consumer)) == []
    consumer.take("ada", "k2", roast=38)
    assert hit(looked_at(consumer)) == []
    consumer.user("bob")
    consumer.take("bob", "k1", roast=12)
    consumer.user("bob", "pro")
    assert hit(looked_at(consumer)) == []
    consumer.user("cyd")
    consumer.take("cyd", "k1", roast=12)
    with transaction() as session:
        corrections.freeze(session, "cyd", ChangeContext(consumer.now, "test", "Chargeback"))
        corrections.freeze(session, "*", ChangeContext(consumer.now, "test", "All"))
    assert hit(looked_at(consumer)) == []


def test_a_look_is_bounded_and_goes_on_where_it_ended(consumer: Consumer) -> None:
    for number in range(7):
        consumer.user(f"u{number}")
        consumer.take(f"u{number}", "k1", roast=12)
    first = looked_at(consumer, most=3)
    assert ([flip.user_id for flip in first.flips], first.next_after) == (["u0", "u1", "u2"], "u2")
    second = looked_at(consumer, "u2", enough=2)
    assert ([flip.user_id for flip in second.flips], second.next_after) == (["u3", "u4"], "u4")
    last = looked_at(consumer, "u4")
    assert ([flip.user_id for flip in last.flips], last.next_after) == (["u5", "u6"], None)


@pytest.fixture
def statements(consumer: Consumer) -> Iterator[list[Sent]]:
    """Yield the statements that are sent to the database."""
    with noted() as sent:
        yield sent


def test_a_page_of_the_directory_takes_one_statement(consumer: Consumer, statements: list[Sent]) -> None:
    for number in range(40):
        consumer.user(f"u{number}")
    statements.clear()
    looked_at(consumer)
    assert len([each for each in statements if "usage_counters" in each[0]]) == 2


def test_an_unknown_plan_is_passed_over(consumer: Consumer) -> None:
    consumer.user("ada", "gold")
    assert looked_at(consumer).summary.users == 1


def test_the_preview_over_http_and_as_a_sheet(admin: Admin, consumer: Consumer) -> None:
    consumer.take("ada", "k1", roast=12)
    shown = found(admin.get("switch-preview?limit=5"))
    assert (shown["users"], shown["wouldBeRefused"], shown["nextAfter"]) == (1, {"free": 1}, None)
    (flip,) = shown["flips"]
    assert (flip["userId"], flip["creditType"], flip["serving"], flip["wouldBeRefused"]) == (
        "ada",
        "roast",
        "legacy",
        True,
    )
    (row,) = admin.csv_rows("switch-preview?format=csv")
    assert (row["userId"], row["used"], row["limit"]) == ("ada", "12", "10")
    assert admin.get("switch-preview?amount=0").get_json()["code"] == "INVALID_AMOUNT"


def lying(loaded: Book, request: Request) -> Decision:
    return replace(v2.decide(loaded, request), outcome=Outcome.DENIED_LIMIT, charged=Amounts())


def test_a_calibration_of_sound_engines_finds_nothing(consumer: Consumer) -> None:
    consumer.user("ada")
    with read_only() as session:
        assert not run_aa_test(session).passed
    consumer.take("ada", "k1", roast=12)
    buy(consumer, 5)
    consumer.v2 = True
    consumer.take("ada", "k2", roast=4)
    consumer.take("ada", "k3", roast=4)
    with transaction() as session:
        corrections.freeze(session, "ada", ChangeContext(consumer.now, "test", "Chargeback"))
    consumer.take("ada", "k4", analysis=1)
    with read_only() as session:
        seen = run_aa_test(session)
        assert (seen.passed, seen.operations) == (True, 4), seen
        assert run_aa_test(session, most=3).operations == 3


def test_a_calibration_names_rows_that_tell_another_story(consumer: Consumer) -> None:
    consumer.user("ada")
    consumer.engines = Engines(v2=lying)
    receipt = consumer.take("ada", "k1", analysis=1)
    with read_only() as session:
        seen = run_aa_test(session)
    assert (seen.passed, seen.mismatches, seen.unlike) == (False, [], [receipt.journal_id])


def test_the_calibration_over_http(admin: Admin, consumer: Consumer) -> None:
    consumer.take("ada", "k1", roast=12)
    assert found(admin.get("aa-test")) == {
        "passed": True,
        "operations": 1,
        "mismatches": 0,
        "unlike": 0,
        "entries": [],
    }
    assert admin.get("aa-test?operations=x").get_json()["code"] == "INVALID_OPERATIONS"


def test_both_at_a_terminal(
    consumer: Consumer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.now = datetime.now(UTC)
    consumer.user("=ada")
    consumer.take("=ada", "k1", roast=12)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    shown = terminal("switch-preview", "--csv", str(tmp_path / "flips.csv"))
    assert "1 users. Would be refused: 1 on free. Would be granted: nobody." in shown.output, shown.output
    (row,) = csv.DictReader((tmp_path / "flips.csv").read_text(encoding="utf-8").splitlines())
    assert (row["userId"], row["creditType"]) == ("'=ada", "roast")
    assert terminal("aa-test").exit_code == 0
    document: Mapping[str, object] = json.loads(terminal("switch-preview", "--json").output)
    assert document["flips"] == 1


def test_variances_go_on_in_a_sheet_where_the_last_one_ended(
    admin: Admin, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credits_engine.api.administration.SHEET_ROWS", 2)
    consumer.user("ada")
    for number in range(3):
        consumer.take("ada", f"k{number}", roast=12)
    response = admin.get("variances?format=csv")
    cursor = response.headers["X-Next-Cursor"]
    assert len(admin.csv_rows("variances?format=csv")) == 2
    assert len(admin.csv_rows(f"variances?format=csv&cursor={cursor}")) == 1
