"""Hashing as cheap as it gets: these tests sign in often, and how dear a hash is has a test of its own."""

import pytest
from argon2 import PasswordHasher

from control_plane.platform import passwords


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
