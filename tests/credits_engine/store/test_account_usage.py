"""Usage by account: what the journal says, whatever is added up already, a page at a time."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import cli_support
from credits_engine.administration import usage_rollup
from credits_engine.cli.usage import usage_group
from credits_engine.engines.amounts import KINDS, Amounts, Kind
from credits_engine.operations import reservations
from credits_engine.store import account_usage, running_totals, usage
from credits_engine.store.account_usage import AccountUsage, Days
from credits_engine.store.tables import JOURNAL
from credits_engine.store.usage import Segment
from tests.credits_engine.api.test_administration import Admin, admin, found
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.operations.test_reservations import Reservations
from tests.credits_engine.store.test_usage import FIRST, consumed

__all__ = ["admin"]

DAY = timedelta(days=1)
EVERY = Days(FIRST.date(), (FIRST + 12 * DAY).date())
SPANS = [EVERY, Days(FIRST.date(), FIRST.date()), Days((FIRST + 3 * DAY).date(), (FIRST + 6 * DAY).date())]


def top(
    kind: str = "analysis", days: Days = EVERY, most: int = 50, after: tuple[int, str] | None = None
) -> list[AccountUsage]:
    with read_only() as session:
        return account_usage.top_accounts(session, Kind(kind), days, most=most, after=after)


def charged(days: Days) -> dict[tuple[str, str, str], int]:
    """Sum what the journal charged, by account, day and kind."""
    sums: dict[tuple[str, str, str], int] = defaultdict(int)
    with read_only() as session:
        for row in session.execute(select(JOURNAL).where(JOURNAL.c.served_engine.is_not(None))):
            day = row.occurred_at.astimezone(UTC).date()
            for kind in KINDS:
                if days.first <= day <= days.last and row.charged[kind]:
                    sums[row.user_id, day.isoformat(), kind] += row.charged[kind]
    return {key: value for key, value in sums.items() if value}


def assert_as_the_journal() -> None:
    for days in SPANS:
        wanted = charged(days)
        for user in ("ada", "bob"):
            with read_only() as session:
                shown = account_usage.days_of_account(session, user, days)
            own = {(day, kind): value for (name, day, kind), value in wanted.items() if name == user}
            assert {(each.day, each.kind): each.credits for each in shown if each.credits} == own
        for kind in KINDS:
            sums: dict[str, int] = defaultdict(int)
            for (name, _, of_kind), value in wanted.items():
                sums[name] += value if of_kind == kind else 0
            listed = [(each.user_id, each.credits) for each in top(kind, days) if each.credits]
            assert listed == sorted(((name, value) for name, value in sums.items() if value), key=lambda each: -each[1])


def test_wherever_the_mark_stands_accounts_have_what_the_journal_says(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumed(consumer, 30)
    assert_as_the_journal()
    monkeypatch.setattr(running_totals, "ROWS_AT_ONCE", 11)
    for _ in range(4):
        with transaction() as session:
            account_usage.roll_up(session)
        assert_as_the_journal()


def test_accounts_add_up_to_what_all_used_together(consumer: Consumer) -> None:
    consumed(consumer, 20)
    usage_rollup.roll_up_accounts()
    consumed(consumer, 20, seed=1)
    with read_only() as session:
        (together,) = usage.daily_usage(session, frozenset[Segment](), since=FIRST, until=FIRST + 13 * DAY)
    for kind in KINDS:
        listed = top(kind)
        assert sum(each.credits for each in listed) == together.credits[kind]
        assert sum(each.operations for each in listed) == together.operations[kind]
    reached = usage_rollup.roll_up_accounts()
    before = top()
    assert usage_rollup.roll_up_accounts() == reached
    assert top() == before


def test_what_was_given_back_is_not_usage(consumer: Consumer) -> None:
    consumer.user("ada")
    Reservations(consumer).reserve(analysis=9)
    with transaction() as session:
        reservations.commit(session, "ada", "r1", now=consumer.now, actor="test", amounts=Amounts(4, 0))
    days = Days(consumer.now.date(), consumer.now.date())
    assert top(days=days) == [AccountUsage("ada", 1, 0, 4)]


def test_pages_follow_each_other_without_a_gap_also_where_accounts_consumed_the_same(consumer: Consumer) -> None:
    for number in range(7):
        consumer.user(f"u{number}")
        consumer.take(f"u{number}", "k", analysis=5 if number < 5 else 6)
    days = Days(consumer.now.date(), consumer.now.date())
    seen: list[AccountUsage] = []
    while page := top(days=days, most=2, after=(seen[-1].credits, seen[-1].user_id) if seen else None):
        seen += page
    assert [each.user_id for each in seen] == ["u5", "u6", "u0", "u1", "u2", "u3", "u4"]


def test_it_is_asked_for_over_http_by_owners(admin: Admin, consumer: Consumer) -> None:
    consumer.take("ada", "k1", analysis=5, roast=1)
    consumer.user("bob")
    consumer.take("bob", "k1", analysis=7)
    consumer.take("bob", "k2", roast=51)
    today = consumer.now.strftime("%Y-%m-%d")
    first = found(admin.get("analytics/accounts?limit=1"))
    assert first["accounts"] == [{"userId": "bob", "operations": 1, "denied": 0, "credits": 7}]
    assert (first["creditType"], first["endDate"]) == ("analysis", today)
    second = found(admin.get(f"analytics/accounts?limit=1&cursor={first['nextCursor']}"))
    assert [each["userId"] for each in second["accounts"]] == ["ada"]
    assert second["nextCursor"] is None
    (refused,) = [
        each for each in admin.csv_rows("analytics/accounts?creditType=roast&format=csv") if each["denied"] == "1"
    ]
    assert refused["userId"] == "bob"
    shown = found(admin.get("analytics/accounts/ada"))["days"]
    assert [(each["day"], each["creditType"], each["credits"]) for each in shown] == [
        (today, "analysis", 5),
        (today, "roast", 1),
    ]
    assert admin.csv_rows("analytics/accounts/ada?format=csv")[0]["credits"] == "5"
    assert found(admin.get("analytics/accounts/nobody"))["days"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("creditType=image", "UNKNOWN_CREDIT_TYPE"),
        ("limit=201", "INVALID_LIMIT"),
        ("limit=0", "INVALID_LIMIT"),
        ("cursor=bob", "INVALID_CURSOR"),
        ("cursor=1e9:bob", "INVALID_CURSOR"),
        ("cursor=1:b%00b", "INVALID_CHARACTER"),
        (f"cursor={'9' * 30}:bob", "INVALID_CURSOR"),
        ("startDate=2027-03-01T08:00:00Z", "INVALID_START_DATE"),
        ("startDate=2020-01-01&endDate=2027-01-01", "INVALID_START_DATE"),
        ("startDate=9999-12-31", "INVALID_START_DATE"),
        ("endDate=2026-02-30", "INVALID_END_DATE"),
        ("endDate=9999-12-31", "INVALID_END_DATE"),
        ("endDate=0001-01-01T00:00:00Z", "INVALID_END_DATE"),
        ("user=ada", "UNKNOWN_PARAMETER"),
    ],
)
def test_what_can_t_be_meant_is_refused(admin: Admin, query: str, code: str) -> None:
    answer = admin.get(f"analytics/accounts?{query}")
    assert (answer.status_code, answer.get_json()["code"]) == (400, code)


def test_pages_go_on_behind_a_user_of_any_name_that_the_directory_takes(admin: Admin, consumer: Consumer) -> None:
    users = ["a\u00a0" + "x" * 254, "b%&: ", "c"]
    for user in users:
        consumer.user(user)
        consumer.take(user, "k", analysis=5)
    seen: list[str] = []
    page: dict[str, Any] = {"nextCursor": None}
    while not seen or page["nextCursor"]:
        cursor = f"&cursor={quote(page['nextCursor'])}" if page["nextCursor"] else ""
        page = found(admin.get(f"analytics/accounts?limit=1{cursor}"))
        seen += [each["userId"] for each in page["accounts"]]
    assert seen == users


@pytest.mark.parametrize("last", ["0001-01-01", "0001-01-20", "9999-12-30"])
def test_the_ends_of_the_calendar_are_days_like_others(admin: Admin, last: str) -> None:
    for path in ("analytics/accounts", "analytics/accounts/ada"):
        assert found(admin.get(f"{path}?endDate={last}"))["endDate"] == last


def test_it_is_asked_for_on_the_command_line(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_support, "application", lambda **_: consumer.app)
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    consumer.take("ada", "k1", analysis=5)
    run = CliRunner().invoke
    assert run(usage_group, ["top"]).output.split() == ["5", "ada", "in", "1", "operations"]
    assert run(usage_group, ["top", "--kind", "image"]).exit_code == 2
    assert json.loads(run(usage_group, ["show", "ada", "--json"]).output)["days"][0]["credits"] == 5
    assert run(usage_group, ["show", "nobody"]).output == "Nothing was consumed.\n"
