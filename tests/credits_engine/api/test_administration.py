import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Outcome
from credits_engine.reconciliation.journal import reconcile
from tests.credits_engine.conftest import Consumer

PATH = "/api/admin/credits"


class Admin:
    """Somebody with an admin token."""

    def __init__(self, client: FlaskClient, token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}

    def post(self, action: str, **body: object) -> TestResponse:
        return self.client.post(f"{PATH}/{action}", json=body, headers=self.headers)

    def get(self, path: str) -> TestResponse:
        return self.client.get(f"{PATH}/{path}", headers=self.headers)

    def csv_rows(self, path: str) -> list[dict[str, str]]:
        response = self.get(path)
        assert response.mimetype == "text/csv", response.text
        return list(csv.DictReader(io.StringIO(response.text)))


@pytest.fixture
def admin(consumer: Consumer, make_token: Callable[..., str]) -> Admin:
    consumer.now = datetime.now(UTC)
    consumer.user("ada")
    return Admin(consumer.app.test_client(), make_token("admin"))


def found(response: TestResponse) -> Any:
    assert response.status_code == 200, response.text
    return response.get_json()


def is_clean() -> bool:
    with read_only() as session:
        return reconcile(session).clean


def test_the_guides_own_line_resets_both_books(admin: Admin, consumer: Consumer) -> None:
    consumer.take("ada", "k1", analysis=7, roast=2)
    sent = '{"userId": "ada", "reason": "manual_reset"}'
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = found(admin.client.post(f"{PATH}/reset", data=sent, headers=admin.headers | form))
    assert answer["posted"]["v2"] == answer["posted"]["legacy"] == {"analysis": -7, "roast": -2}
    both = consumer.books("ada")
    assert both.v2.used == both.legacy.used == Amounts()
    row = consumer.journal("ada")[-1]
    assert (row["type"], row["reason"], row["actor"]) == ("reset", "manual_reset", "token:a admin token")
    assert is_clean()
    with read_only() as session:
        (entry,) = audit.latest(session, subject="credits:ada")
        assert (entry.action, entry.before) == (
            "credits.reset",
            {"legacy": "7 analysis and 2 roast", "v2": "7 analysis and 2 roast"},
        )
        assert audit.verify(session).intact


def test_an_adjustment_moves_both_books_and_happens_once_per_key(admin: Admin, consumer: Consumer) -> None:
    consumer.take("ada", "k1", analysis=10)
    body = {"userId": "ada", "analysis": 4, "reason": "goodwill", "idempotencyKey": "a1"}
    first, again = admin.post("adjust", **body), admin.post("adjust", **body)
    assert found(first) == found(again)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used == Amounts(6, 0)
    assert admin.post("adjust", **body | {"analysis": 5}).get_json()["code"] == "IDEMPOTENCY_KEY_REUSED"
    found(admin.post("adjust", userId="ada", analysis=-3, roast=-1, reason="forgotten"))
    assert consumer.books("ada").legacy.used == Amounts(9, 1)
    assert is_clean()


def test_an_adjustment_never_passes_a_limit_in_silence(admin: Admin, consumer: Consumer) -> None:
    consumer.take("ada", "k1", analysis=10)
    more = admin.post("adjust", userId="ada", analysis=11, reason="x")
    assert (more.status_code, more.get_json()["code"]) == (409, "CORRECTION_REFUSED")
    assert "10 are used" in more.get_json()["detail"]
    less = admin.post("adjust", userId="ada", analysis=-91, reason="x")
    assert "90 of 100 are left" in less.get_json()["detail"]
    assert consumer.books("ada").legacy.used == Amounts(10, 0)
    assert len(consumer.journal("ada")) == 1
    found(admin.post("adjust", userId="ada", analysis=-91, reason="agreed", allowBeyondLimit=True))
    assert consumer.books("ada").legacy.used == Amounts(101, 0)


def test_a_book_that_holds_less_gives_back_what_it_holds_and_says_so(admin: Admin, consumer: Consumer) -> None:
    consumer.user("ada", anchor=consumer.now - timedelta(days=27, hours=3))
    month_start = consumer.now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    consumer.now = month_start - timedelta(hours=1)
    consumer.take("ada", "k1", analysis=10)
    before = consumer.books("ada").v2.period
    consumer.now = datetime.now(UTC)
    consumer.take("ada", "k2", analysis=2)
    same_period = consumer.books("ada").v2.period == before
    posted = found(admin.post("reset", userId="ada", reason="x"))["posted"]
    assert posted["legacy"] == {"analysis": -2, "roast": 0}
    assert posted["v2"] == {"analysis": -12 if same_period else -2, "roast": 0}
    assert is_clean()


def test_a_freeze_stops_consumption_until_it_is_taken_back(admin: Admin, consumer: Consumer) -> None:
    consumer.user("bob")
    assert found(admin.post("freeze", userId="ada", reason="fraud"))["changed"] is True
    assert found(admin.post("freeze", userId="ada", reason="again"))["changed"] is False
    refused = consumer.take("ada", "k1", analysis=1)
    assert (refused.outcome, refused.reason) == (Outcome.DENIED_STATE, "fraud")
    assert consumer.take("bob", "k1", analysis=1).outcome is Outcome.ALLOWED
    assert found(admin.post("unfreeze", userId="ada", reason="cleared"))["changed"] is True
    assert consumer.take("ada", "k2", analysis=1).outcome is Outcome.ALLOWED
    assert [row["type"] for row in consumer.journal("ada")] == ["freeze", "consume", "unfreeze", "consume"]
    found(admin.post("freeze", userId="*", reason="drill"))
    assert consumer.take("bob", "k2", analysis=1).outcome is Outcome.DENIED_STATE
    assert is_clean()


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("reset", {"userId": "ada"}, "MISSING_FIELD"),
        ("reset", {"userId": "ada", "reason": "  "}, "INVALID_REASON"),
        ("reset", {"userId": "nobody", "reason": "x"}, "UNKNOWN_USER"),
        ("freeze", {"userId": "nobody", "reason": "x"}, "UNKNOWN_USER"),
        ("adjust", {"userId": "ada", "reason": "x"}, "INVALID_BODY"),
        ("adjust", {"userId": "ada", "reason": "x", "analysis": 1.5}, "INVALID_AMOUNT"),
    ],
)
@pytest.mark.database("sqlite")
def test_what_cannot_be_used_is_refused(admin: Admin, action: str, body: dict[str, object], code: str) -> None:
    response = admin.post(action, **body)
    assert (response.status_code, response.get_json()["code"]) == (422, code)


@pytest.mark.database("sqlite")
def test_only_owners_and_admin_tokens_may(
    admin: Admin, sign_in: Callable[[str], FlaskClient], service_token: str
) -> None:
    body = {"userId": "ada", "reason": "x"}
    assert sign_in("alice").post(f"{PATH}/reset", json=body).status_code == 200
    assert sign_in("olga").post(f"{PATH}/reset", json=body).status_code == 403
    headers = {"Authorization": service_token}
    assert admin.client.post(f"{PATH}/reset", json=body, headers=headers).status_code == 403
    assert admin.client.post(f"{PATH}/reset", json=body).status_code == 401
    assert admin.client.get(f"{PATH}/users/ada").status_code == 401


def test_everything_about_a_user_is_on_one_page(admin: Admin, consumer: Consumer) -> None:
    for number in range(3):
        consumer.take("ada", f"k{number}", roast=20)
    page = found(admin.get("users/ada?limit=2"))
    assert (page["plan"], page["engine"], page["frozen"]) == ("free", "legacy", None)
    assert page["because"].startswith("DEFAULT")
    assert page["books"]["v2"]["roast"]["used"] == 40
    assert [entry["idempotencyKey"] for entry in page["journal"]["entries"]] == ["k2", "k1"]
    assert page["journal"]["entries"][0]["legacy"]["outcome"] == "denied_limit"
    rest = found(admin.get(f"users/ada?limit=2&cursor={page['journal']['nextCursor']}"))["journal"]
    assert ([entry["idempotencyKey"] for entry in rest["entries"]], rest["hasMore"]) == (["k0"], False)
    assert admin.get("users/nobody").status_code == 422


def test_variances_are_grouped_filtered_and_exported(admin: Admin, consumer: Consumer) -> None:
    consumer.user("=bob")
    consumer.take("ada", "k1", analysis=1)
    consumer.take("ada", "k2", roast=11)
    consumer.take("=bob", "k1", roast=12)
    answer = found(admin.get("variances"))
    assert answer["groups"] == [{"class": "policy", "cause": "policy:limit_table", "operations": 2}]
    assert [entry["userId"] for entry in answer["entries"]] == ["=bob", "ada"]
    assert found(admin.get("variances?userId=ada"))["entries"][0]["v2"]["outcome"] == "denied_limit"
    assert found(admin.get("variances?class=defect"))["entries"] == []
    assert found(admin.get("variances?engine=v2"))["entries"] == []
    assert [row["userId"] for row in admin.csv_rows("variances?format=csv")] == ["'=bob", "ada"]
    assert admin.get("variances?class=strange").get_json()["code"] == "UNKNOWN_CLASS"
    assert admin.get("variances?clas=defect").get_json()["code"] == "UNKNOWN_PARAMETER"
