"""The guard dies: whoever was on v2 is on legacy once its lease is over, without anybody doing anything."""

from datetime import UTC, datetime, timedelta

from flask import Flask
from flask.testing import FlaskClient

from alerts.guard_job import run_guard
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import leases
from flags.store import UserAttributes
from tests.installation import Installation


def test_without_a_heartbeat_legacy_serves_again(app: Flask, client: FlaskClient, service_token: str) -> None:
    installation = Installation(app)
    installation.plan()
    installation.move(3, 3)
    installation.users(UserAttributes(user_id="ada", plan="free", signed_up_at=datetime.now(UTC)))
    with app.app_context():
        run_guard(datetime.now(UTC), 1)
    assert served_by(client, service_token, "k1") == "v2"
    with app.app_context(), transaction() as session:
        # The last heartbeat of a guard that died half a minute ago.
        leases.heartbeat(session, now=datetime.now(UTC) - timedelta(seconds=31), term=1, ttl_seconds=30)
    assert served_by(client, service_token, "k2") == "legacy"
    with app.app_context():
        run_guard(datetime.now(UTC), 2)
    assert served_by(client, service_token, "k3") == "v2", "and a guard that is back watches on"
    assert FLAG in client.get("/metrics").text


def served_by(client: FlaskClient, token: str, key: str) -> str:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    answer = client.post("/api/credits/consume", json={"userId": "ada", "analysis": 1}, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.get_json()["engine"])
