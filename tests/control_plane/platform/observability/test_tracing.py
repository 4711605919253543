"""Traces only where they were asked for, and a start that says what is missing for them."""

from dataclasses import replace
from importlib import import_module

import pytest
from flask import Flask

from control_plane.platform.observability import tracing
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from tests.applications import application

pytestmark = pytest.mark.database("sqlite")
COLLECTOR = "http://127.0.0.1:4318"


def test_without_an_endpoint_nothing_is_traced(app: Flask) -> None:
    tracing.start(app)
    with app.test_request_context():
        assert tracing.TRACING.get() is None
        assert tracing.trace_id() == ""
        with tracing.span("credits transaction") as span:
            assert span is None


@pytest.mark.parametrize("missing", [True, False])
def test_an_endpoint_needs_the_packages(settings: Settings, monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    def found(name: str) -> object:
        if missing and name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return import_module(name)

    monkeypatch.setattr(tracing, "import_module", found)
    with application(replace(settings, otel_endpoint=COLLECTOR)) as app, app.app_context():
        if missing:
            with pytest.raises(SettingsError, match=r"pip install 'rollout-control-plane\[otel\]'"):
                tracing.require_packages()
        else:
            tracing.require_packages()
