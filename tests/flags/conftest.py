"""An application whose flags are changed in its database and asked for over the wire."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tests.installation import Installation


@pytest.fixture
def installation(app: Flask) -> Installation:
    """Changes the application; the guide's rollout is at its lowest step and watched."""
    installation = Installation(app)
    installation.plan()
    installation.watch()
    return installation


@pytest.fixture
def call(app: Flask, installation: Installation) -> Callable[..., TestResponse]:
    """`call("GET", "/api/client/features", kind="client")` asks with a new token of that kind, if one is named."""

    def call(
        method: str, path: str, *, kind: str = "", headers: Mapping[str, str] | None = None, **options: Any
    ) -> TestResponse:
        installation.publish()
        permission = {"Authorization": installation.token(kind)} if kind else {}
        return app.test_client().open(path, method=method, headers={**permission, **(headers or {})}, **options)

    return call
