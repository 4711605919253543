"""What an earlier release stored and this one would not take as it is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from control_plane.platform.db.database import read_only, transaction
from flags import store
from flags.administration.outdated_definitions import outdated_definitions
from flags.unleash.canonical import canonical_definitions
from flags.unleash.canonical.definitions import Definitions


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.app_context():
        yield


def stored(name: str, **fields: Any) -> None:
    """Store a feature past every check, as a release that knew fewer would have."""
    raw = {"name": name, "enabled": True, "strategies": [{"name": "default"}]}
    taken = canonical_definitions({"features": [raw]})
    assert isinstance(taken, Definitions)
    with transaction() as session:
        wire = {**taken.features[0], **fields}
        store.put_definitions(session, "production", [wire], actor="an earlier release", now=datetime.now(UTC))


def constrained(operator: str, value: str) -> list[dict[str, Any]]:
    constraint = {"contextName": "email", "operator": operator, "value": value, "inverted": False}
    return [{"name": "default", "parameters": {}, "constraints": [constraint], "segments": [], "variants": []}]


@pytest.mark.usefixtures("context")
def test_what_this_release_takes_as_it_is_is_not_named() -> None:
    stored("right")
    with read_only() as session:
        assert outdated_definitions(session, "production") == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"strategies": constrained("REGEX", r"\d")}, "is written as"),
        ({"strategies": constrained("SEMVER_EQ", "1.2.3+b")}, "Engines differ on it."),
        ({"dependencies": [{"feature": "right", "enabled": True, "variants": ["a"]}]}, "gives none to some users"),
    ],
)
@pytest.mark.usefixtures("context")
def test_what_it_would_write_in_another_way_or_refuse_is_named(fields: dict[str, Any], sentence: str) -> None:
    stored("right")
    stored("wrong", **fields)
    with read_only() as session:
        (found,) = outdated_definitions(session, "production")
    assert found.name == "wrong"
    assert sentence in found.mistakes[0].sentence
