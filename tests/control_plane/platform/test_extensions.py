"""Each application has values of its own, and a missing one is named."""

import pytest
from flask import Flask

from control_plane.platform.extensions import AppState, MissingStateError

LIMIT = AppState[int]("test_limit")
NAMES = AppState[list[str]]("test_names", list)


def test_each_application_has_its_own_value() -> None:
    one, other = Flask("one"), Flask("other")
    LIMIT.set(one, 1)
    LIMIT.set(other, 2)
    assert (LIMIT.get(one), LIMIT.get(other)) == (1, 2)


def test_without_an_application_the_running_one_is_meant() -> None:
    one, other = Flask("one"), Flask("other")
    LIMIT.set(one, 1)
    LIMIT.set(other, 0)
    with one.app_context():
        assert LIMIT.get() == 1
        with other.app_context():
            assert LIMIT.get() == 0
        assert LIMIT.get() == 1


def test_a_default_is_made_once_for_each_application() -> None:
    one, other = Flask("one"), Flask("other")
    NAMES.get(one).append("ann")
    assert NAMES.get(one) == ["ann"]
    assert NAMES.get(other) == []


def test_a_value_that_was_set_goes_before_the_default() -> None:
    app = Flask("app")
    NAMES.set(app, ["bob"])
    assert NAMES.get(app) == ["bob"]


def test_a_missing_value_is_named() -> None:
    with pytest.raises(MissingStateError, match="test_limit"):
        LIMIT.get(Flask("app"))


def test_outside_an_application_flask_says_so() -> None:
    with pytest.raises(RuntimeError, match="application context"):
        NAMES.get()
