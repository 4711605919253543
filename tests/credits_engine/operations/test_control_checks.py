"""What v2 could not settle is settled once more as legacy's and undone, on both databases."""

from datetime import UTC, datetime

import pytest
from flask import Flask

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from credits_engine.engines.decisions import EngineName
from credits_engine.operations import reservations
from credits_engine.operations.reservations import ReservationResult
from credits_engine.store import reservations as stored
from credits_engine.store.reservations import ReservationState
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation


@pytest.mark.parametrize("legacy_fails", [True, False])
@pytest.mark.parametrize("path", ["commit", "release"])
def test_the_end_of_a_reservation_is_tried_with_legacy_and_undone(
    app: Flask, service_token: str, monkeypatch: pytest.MonkeyPatch, path: str, legacy_fails: bool
) -> None:
    installation = Installation(app)
    installation.plan()
    installation.users(UserAttributes("ada", "pro", CUTOVER, beta=False))
    installation.move(3, 3)
    installation.watch()
    finalize = reservations._finalize

    def fail(*arguments: object, **options: object) -> ReservationResult:
        result = finalize(*arguments, **options)  # type: ignore[arg-type]
        if legacy_fails or result.engine is EngineName.V2:
            raise RuntimeError
        return result

    monkeypatch.setattr(reservations, "_finalize", fail)
    headers = {"Authorization": f"Bearer {service_token}", "Idempotency-Key": "k1"}
    body = {"userId": "ada", "creditType": "analysis", "amount": 1}
    client = app.test_client()
    assert client.post("/api/credits/reserve", json=body, headers=headers).get_json()["engine"] == "v2"
    assert client.post(f"/api/credits/{path}", json={"userId": "ada"}, headers=headers).status_code == 500
    with app.app_context():
        signals.flush(datetime.now(UTC))
        with read_only() as session:
            counts = {(key.signal, key.engine): count.bad for key, count in signals.totals(session).items()}
            reservation = stored.find(session, "ada", "k1")
    assert counts["credit_control_check", ""] == legacy_fails
    assert counts["credit_serving_failure", "v2"] == 1
    assert reservation is not None
    assert (reservation.engine, reservation.state) == (EngineName.V2, ReservationState.PENDING)
