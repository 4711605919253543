"""Routes in metrics and in the access log: as people write them, without Werkzeug's converters."""

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from control_plane.platform.observability.telemetry import exposition, route_label
from flags.protocols import wsgi_fast_path

pytestmark = pytest.mark.database("sqlite")

ROUTE = re.compile(r'route="([^"]*)"')


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ("/rollouts/<flag>/<any('advance', 'step-back'):verb>", "/rollouts/<flag>/<verb>"),
        ("/api/flags/<path:key>/users/<int:number>", "/api/flags/<key>/users/<number>"),
        ("/codes/<any('a:b', \"c\"):code>", "/codes/<code>"),
        ("/rollouts/<flag>", "/rollouts/<flag>"),
        ("/readyz", "/readyz"),
    ],
)
def test_a_label_names_the_arguments_alone(rule: str, label: str) -> None:
    assert route_label(rule) == label


def test_no_series_of_any_route_shows_a_converter(app: Flask) -> None:
    with app.app_context():
        labels = set(ROUTE.findall(exposition().decode()))
    assert "/rollouts/<flag>/<verb>" in labels
    assert {each for each in labels if ":" in each or "any(" in each} == set()


def test_the_access_log_shows_the_same_route(client: FlaskClient) -> None:
    with capture_logs() as events:
        client.get("/rollouts/NOPE/advance")
    assert [event["route"] for event in events if "route" in event] == ["/rollouts/<flag>/<verb>"]


def test_the_fast_path_counts_under_the_labels_of_the_applications_own_routes(app: Flask) -> None:
    routes = {value.route for value in vars(wsgi_fast_path).values() if isinstance(value, wsgi_fast_path.FastRoute)}
    assert wsgi_fast_path.ONE_FLAG_ROUTE.route in routes
    assert routes <= {route_label(rule.rule) for rule in app.url_map.iter_rules()}
