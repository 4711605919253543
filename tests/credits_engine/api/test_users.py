from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.settings import Settings
from credits_engine.engines import usage_levels
from credits_engine.engines.amounts import Amounts, Limits
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import MONTH, book

PATH = "/api/user/credits"


class User:
    """ada, signed in to the product."""

    def __init__(self, client: FlaskClient, secret: str) -> None:
        self.client = client
        token = jwt.encode({"sub": "ada", "exp": datetime.now(UTC) + timedelta(minutes=5)}, secret, "HS256")
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> TestResponse:
        return self.client.get(f"{PATH}/{path}", headers=self.headers)

    def check(self, **body: object) -> TestResponse:
        return self.client.post(f"{PATH}/check", json=body, headers=self.headers)


@pytest.fixture
def user(consumer: Consumer, settings: Settings) -> User:
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    return User(consumer.app.test_client(), settings.user_jwt_secret)


def data(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    assert response.get_json()["success"] is True
    return response.get_json()["data"]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_paging_shows_each_operation_once_and_knows_when_it_ends(user: User, consumer: Consumer, count: int) -> None:
    for number in range(count):
        consumer.take("ada", f"k{number}", analysis=1)
    seen, pages, address = [], 0, "history?limit=2"
    while address:
        page = data(user.get(address))
        seen += [entry["idempotencyKey"] for entry in page["entries"]]
        pages += 1
        assert page["hasMore"] is (page["nextCursor"] is not None)
        address = f"history?limit=2&cursor={page['nextCursor']}" if page["hasMore"] else ""
    assert seen == [f"k{number}" for number in reversed(range(count))]
    assert pages == max(1, -(-count // 2))


def test_history_is_filtered_by_kind_and_by_day(user: User, consumer: Consumer) -> None:
    today = consumer.now
    consumer.now = today - timedelta(days=3)
    consumer.take("ada", "old", analysis=1)
    consumer.now = today
    consumer.take("ada", "new", roast=1)
    keys = [entry["idempotencyKey"] for entry in data(user.get("history?creditType=roast"))["entries"]]
    assert keys == ["new"]
    day = (today - timedelta(days=3)).strftime("%Y-%m-%d")
    keys = [entry["idempotencyKey"] for entry in data(user.get(f"history?startDate={day}&endDate={day}"))["entries"]]
    assert keys == ["old"]


def test_a_user_sees_nothing_of_anybody_else(user: User, consumer: Consumer) -> None:
    consumer.user("bob")
    consumer.take("bob", "k1", analysis=1)
    assert data(user.get("history"))["entries"] == []
    assert data(user.get("history?userId=bob"))["entries"] == []
    assert data(user.get("summary?userId=bob"))["usage"]["analysis"]["used"] == 0


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("creditType=gold", "UNKNOWN_CREDIT_TYPE"),
        ("startDate=yesterday", "INVALID_START_DATE"),
        ("startDate=2026-01-31T08:00:00", "INVALID_START_DATE"),
        ("endDate=2026-02-30", "INVALID_END_DATE"),
        ("startDate=2026-02-02&endDate=2026-02-01", "INVALID_END_DATE"),
        ("limit=0", "INVALID_LIMIT"),
        ("limit=-1", "INVALID_LIMIT"),
        ("limit=NaN", "INVALID_LIMIT"),
        ("limit=1e3", "INVALID_LIMIT"),
        ("limit=201", "INVALID_LIMIT"),
        ("cursor=abc", "INVALID_CURSOR"),
        ("cursor=99999999999999999999", "INVALID_CURSOR"),
        ("startdate=2026-01-01", "UNKNOWN_PARAMETER"),
    ],
)
def test_a_filter_that_cannot_be_used_is_a_400_by_name(user: User, query: str, code: str) -> None:
    response = user.get(f"history?{query}")
    assert (response.status_code, response.get_json()["code"]) == (400, code)


def test_a_check_says_what_consuming_would_and_holds_nothing(user: User, consumer: Consumer) -> None:
    answer = data(user.check(creditType="roast", amount=50))
    assert (answer["canConsume"], answer["remaining"]) == (True, {"analysis": 100, "roast": 50})
    assert answer["periodEnd"].endswith("T00:00:00Z")
    assert data(user.check(analysis=1, roast=51))["canConsume"] is False
    assert user.check(creditType="roast", amount=0).get_json()["code"] == "INVALID_AMOUNT"
    assert consumer.journal("ada") == []


def test_the_summary_recommends_an_upgrade_from_80_percent(user: User, consumer: Consumer) -> None:
    consumer.take("ada", "k1", analysis=79)
    assert [each["code"] for each in upgrades(data(user.get("summary")))] == []
    consumer.take("ada", "k2", analysis=1)
    summary = data(user.get("summary"))
    assert [each["creditType"] for each in upgrades(summary)] == ["analysis"]
    assert summary["usage"]["analysis"] == {
        "used": 80,
        "limit": 100,
        "bought": 0,
        "remaining": 20,
        "percentUsed": 80.0,
        "level": "caution",
    }
    assert summary["fallback"] is True


def upgrades(summary: Mapping[str, Any]) -> list[Any]:
    return [each for each in summary["recommendations"] if each["code"] == "UPGRADE"]


@pytest.mark.parametrize(
    ("used", "limit", "expected"),
    [
        (74, 100, "ok"),
        (75, 100, "caution"),
        (89, 100, "caution"),
        (90, 100, "critical"),
        (120, 100, "critical"),
        (0, 0, "critical"),
        (10**9, None, "ok"),
    ],
)
def test_levels_change_at_75_and_90_percent(used: int, limit: int | None, expected: str) -> None:
    assert usage_levels.level(used, limit) == expected


def test_the_last_three_days_are_announced() -> None:
    loaded = book(Amounts(), Limits(None, None))
    for before, codes in ((timedelta(days=3, seconds=1), []), (timedelta(days=3), ["PERIOD_ENDS_SOON"])):
        assert [each.code for each in usage_levels.recommendations(loaded, MONTH.end - before)] == codes
    assert usage_levels.recommendations(loaded, MONTH.end - timedelta(hours=2))[0].message == "New credits in 1 day."
