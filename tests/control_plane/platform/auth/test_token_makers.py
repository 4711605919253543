"""A token that is made while its maker is being locked out: either it is revoked as well, or it is not made."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane.platform.auth import accounts, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Person
from tests.races import during

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def nina(app: Flask) -> Iterator[Person]:
    with app.app_context():
        with transaction() as session:
            accounts.create_person(session, "zoe", password=None, role="admin", now=NOW)
            made = accounts.create_person(session, "nina", password=None, role="admin", now=NOW)
            make(session, "deploys", "nina")
        yield made


def make(session: Session, name: str, maker: str) -> None:
    tokens.create_token(session, tokens.NewToken(name, "admin", environment="production"), now=NOW, actor=maker)


def in_force() -> set[str]:
    with read_only() as session:
        return {each.name for each in tokens.list_tokens(session) if each.revoked_at is None}


@pytest.mark.parametrize("maker", ["nina", "token:deploys"])
@pytest.mark.parametrize("lock_first", [True, False])
def test_nobody_keeps_a_token_from_the_moment_of_the_lock(
    app: Flask, nina: Person, maker: str, lock_first: bool
) -> None:
    def lock(session: Session) -> None:
        accounts.disable_person(session, nina.id, now=NOW, actor="zoe")

    def add(session: Session) -> None:
        make(session, "late", maker)

    refused = during(app, lock, add) if lock_first else during(app, add, lock)
    assert refused == ("LOCKED_OUT" if lock_first else "")
    assert in_force() == set()
