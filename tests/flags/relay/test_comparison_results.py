"""Results that a service sends to a relay are counted upstream, and what upstream says of them comes back."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from alerts.definitions.rules_file import RULES_FILE, RulesFile
from control_plane.experiments.registry import registered_migrations
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.settings import Settings
from flags.relay import create_relay
from tests.alerts.inbound.test_experiments_api import ALERTS, BATCH, FLAG

RESULTS = f"/api/experiments/{FLAG}/results"


@pytest.fixture
def upstream(app: Flask, tmp_path: Path) -> Iterator[str]:
    """The address of a control plane that knows a migration of prices."""
    alerts = tmp_path / "alerts.yaml"
    alerts.write_text(ALERTS)
    with app.app_context():
        RULES_FILE.set(app, RulesFile(alerts, registered_migrations))
    serving = make_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def relay(upstream: str, settings: Settings, tmp_path: Path) -> FlaskClient:
    """A caller of a relay of it."""
    place = tmp_path / "relay"
    return create_relay(replace(settings, instance_dir=place), upstream, ["*:production.x"]).app.test_client()


@pytest.mark.database("sqlite")
def test_a_batch_is_counted_once_upstream_however_often_it_is_sent(
    app: Flask, relay: FlaskClient, service_token: str
) -> None:
    permission = {"Authorization": f"Bearer {service_token}"}
    answers = [relay.post(RESULTS, json=BATCH, headers=permission) for _ in range(2)]
    assert [(each.status_code, each.get_json()["counted"]) for each in answers] == [(202, True), (202, False)]
    with app.app_context(), read_only() as session:
        counted = {key.signal: count.total for key, count in signals.totals(session).items()}
    assert counted["price_routed"] == 1


@pytest.mark.database("sqlite")
def test_what_upstream_refuses_is_refused_in_its_words(relay: FlaskClient, service_token: str) -> None:
    for path, token, status in ((RESULTS, "nonsense", 401), ("/api/experiments/a%3Fb/results", service_token, 404)):
        answer = relay.post(path, json=BATCH, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
        assert answer.get_json()["title"]


@pytest.mark.database("sqlite")
def test_without_upstream_they_are_to_be_sent_again(settings: Settings, tmp_path: Path) -> None:
    relay = create_relay(replace(settings, instance_dir=tmp_path), "http://127.0.0.1:9", ["*:production.x"])
    answer = relay.app.test_client().post(RESULTS, json=BATCH, headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.get_json()["code"]) == (503, "UPSTREAM_UNAVAILABLE")
    assert answer.headers["Retry-After"] == "5"
