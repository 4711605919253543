"""Members of an organisation by HTTP and by command: who may add them, and what they are told."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import cli_support
from credits_engine.administration import organisations
from credits_engine.administration.organisations import LEAD
from credits_engine.cli import register
from credits_engine.store import members
from flags.store import UserAttributes
from tests.billing_office import Office

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def acme(app: Flask) -> None:
    """An organisation on `free`, whose plan has 100 analysis credits, and somebody who may become a member."""
    office = Office(app)
    office.plan()
    office.users(*(UserAttributes(user, "free", NOW - timedelta(days=90)) for user in ("acme", "ada")))
    office.publish()


def test_over_http_owners_add_members_who_see_the_pool_and_only_themselves(
    app: Flask, sign_in: Callable[[str], FlaskClient], client: FlaskClient, service_token: str
) -> None:
    url, body = "/api/admin/credits/members", {"userId": "ada", "accountId": "acme", "reason": "Hired."}
    assert sign_in("olga").post(url, json=body).status_code == 403
    alice = sign_in("alice")
    assert alice.post(url, json=body | {"limits": {"analysis": "5"}}).status_code == 422
    assert alice.post(url, json=body | {"limits": {"analysis": 9}}).get_json()["limits"] == {"analysis": 9}
    with app.app_context(), read_only() as session:
        assert (audit.latest(session)[0].action, audit.latest(session)[0].reason) == ("credits.member", "Hired.")
        member = members.find(session, "ada")
    assert member
    with app.app_context():
        with transaction() as session:
            members.put(session, type(member)("ada", "acme", NOW - LEAD, member.limits), replacing=member, by="test")
        organisations.reload(NOW)
    headers = {"Authorization": f"Bearer {service_token}"}
    for user in ("ada", "acme"):
        consumed = client.post(
            "/api/credits/consume",
            json={"userId": user, "creditType": "analysis", "amount": 4},
            headers=headers | {"Idempotency-Key": "k"},
        )
        assert (consumed.get_json()["userId"], consumed.get_json()["idempotencyKey"]) == ("acme", "k")
    status = client.get("/api/user/credits/status?userId=ada", headers=headers).get_json()["data"]
    assert status["analysis"]["used"] == 8
    history = client.get("/api/user/credits/history?userId=ada", headers=headers).get_json()["data"]
    assert [each["idempotencyKey"] for each in history["entries"]] == ["k"]
    check = client.post(
        "/api/user/credits/check?userId=ada", json={"creditType": "analysis", "amount": 6}, headers=headers
    ).get_json()["data"]
    assert (check["canConsume"], check["reason"][:14]) == (False, "A member's lim")
    (listed,) = alice.get(f"{url}?account=acme").get_json()["members"]
    assert (listed["userId"], listed["used"]["analysis"]) == ("ada", 4)
    assert alice.post(f"{url}/remove", json={"userId": "ada", "reason": "Left."}).get_json()["endsAt"]
    assert alice.post(f"{url}/remove", json={"userId": "ada", "reason": "Left."}).get_json()["code"] == "NO_MEMBER"


def test_by_command(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    rollout = click.Group()
    register(rollout)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(rollout, ["credits", "members", *arguments]).output

    assert "at most 5 analysis" in run("add", "acme", "ada", "--limit", "analysis=5", "--reason", "Hired.")
    assert "KIND=AMOUNT" in run("add", "acme", "ada", "--limit", "analysis", "--reason", "Hired.")
    assert "ada of acme" in run("list", "acme")
    assert "no member of acme any more" in run("remove", "ada", "--reason", "Left.")
    assert "is no member" in run("remove", "ada", "--reason", "Left.")
