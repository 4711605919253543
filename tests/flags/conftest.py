"""An application whose flags are changed at an office and asked for over the wire."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.billing_office import Office


@pytest.fixture
def office(app: Flask) -> Office:
    """Changes the application; the guide's rollout is at its lowest step and watched."""
    office = Office(app)
    office.plan()
    office.watch()
    return office


@pytest.fixture
def call(app: Flask, office: Office) -> Callable[..., TestResponse]:
    """`call("GET", "/api/client/features", kind="client")` asks with a new token of that kind, if one is named."""

    def call(
        method: str, path: str, *, kind: str = "", headers: Mapping[str, str] | None = None, **options: Any
    ) -> TestResponse:
        office.publish()
        permission = {"Authorization": office.token(kind)} if kind else {}
        return app.test_client().open(path, method=method, headers={**permission, **(headers or {})}, **options)

    return call
