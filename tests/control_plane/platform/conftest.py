"""People, tokens and doors for them. Hashing is as cheap as it gets: what it costs has a test of its own."""

from datetime import UTC, datetime

import pytest
from argon2 import PasswordHasher
from flask import Flask

from control_plane.platform.auth import accounts, passwords
from control_plane.platform.auth.tokens import NewToken, create_token
from control_plane.platform.db.database import transaction
from tests.control_plane.platform.endpoints import PASSWORD


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture
def people(app: Flask, now: datetime) -> dict[str, int]:
    """Alice owns, bob operates, carol views."""
    with app.app_context(), transaction() as session:
        roles = {"alice": "owner", "bob": "operator", "carol": "viewer"}
        made = [
            accounts.create_person(session, name, password=PASSWORD, role=role, now=now) for name, role in roles.items()
        ]
        return {person.username: person.id for person in made}


@pytest.fixture
def tokens(app: Flask) -> dict[str, str]:
    """One token of each type, named after it."""
    with app.app_context(), transaction() as session:
        return {
            kind: create_token(session, NewToken(kind, kind, environment="production"), now=datetime.now(UTC))
            for kind in ("client", "frontend", "admin", "service")
        }
