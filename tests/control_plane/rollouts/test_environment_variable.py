"""What ENABLE_CREDITS_V2 does is said wherever the rollout is shown, and that production ignores `true`."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from control_plane.rollouts.environment_variable import variable_notice
from tests.applications import application

SignIn = Callable[[str], FlaskClient]


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """Production with the variable set to false."""
    with application(replace(settings, environment_switch=False)) as app:
        with app.app_context(), transaction() as session:
            now = datetime.now(UTC)
            rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "alice", "The guide."))
        yield app


@pytest.mark.parametrize(
    ("value", "environment", "expected"),
    [
        (None, "production", ""),
        (False, "production", "serves nobody"),
        (True, "production", "is ignored in production"),
        (True, "staging", "serves everybody in staging"),
    ],
)
def test_each_value_is_explained(settings: Settings, value: bool | None, environment: str, expected: str) -> None:
    changed = replace(settings, environment_switch=value, environment=environment)
    assert expected in (variable_notice(FLAG, changed) or "")
    assert variable_notice("OTHER", changed) is None
    assert (variable_notice(FLAG, changed) is None) == (not expected)
    assert variable_notice(f"{FLAG}@{environment}", changed) == variable_notice(FLAG, changed)
    assert variable_notice(f"{FLAG}@elsewhere", changed) is None


@pytest.mark.parametrize("page", ["/", f"/rollouts/{FLAG}", "/system"])
def test_pages_say_that_the_variable_overrules_the_rollout(sign_in: SignIn, page: str) -> None:
    assert "serves nobody, whatever the rollout says" in sign_in("victor").get(page).text


def test_the_api_says_it_too(sign_in: SignIn) -> None:
    found = sign_in("victor").get(f"/api/rollouts/{FLAG}").get_json()
    assert "serves nobody" in found["environment_variable"]
