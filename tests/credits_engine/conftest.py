"""Users in the directory of a real database, whose credits are consumed in transactions of their own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import Receipt
from credits_engine.operations import account_books
from credits_engine.operations.account_books import Books
from credits_engine.operations.consumption import ENGINES, EnginePolicy, Engines, FlagEvaluation, Operation, consume
from credits_engine.store import accounts
from credits_engine.store.tables import JOURNAL
from flags.models import DirectoryUser
from flags.store import UserAttributes
from tests.credits_engine import organisation
from tests.credits_engine.examples import NOW
from tests.installation import Installation

LEGACY_SERVES = FlagEvaluation(enabled=False, reason="default", revision=1)
V2_SERVES = FlagEvaluation(enabled=True, reason="beta", revision=2)


@dataclass
class Consumer:
    """A consumer of credits; `v2` decides who serves until the flag is flipped."""

    app: Flask
    v2: bool = False
    now: datetime = NOW
    engines: Engines = ENGINES
    policy: EnginePolicy = field(default_factory=EnginePolicy)

    def user(self, user_id: str, plan: str = "free", *, anchor: datetime | None = None) -> str:
        """Put a user into the directory, or change one there."""
        with transaction() as session:
            session.merge(
                DirectoryUser(
                    user_id=user_id, plan=plan, signed_up_at=NOW, beta=False, billing_anchor=anchor, updated_at=NOW
                )
            )
        return user_id

    def take(self, user_id: str, key: str, analysis: int = 0, roast: int = 0) -> Receipt:
        """Consume in one transaction."""
        operation = Operation(user_id, key, Amounts(analysis, roast), actor="test")
        evaluation = V2_SERVES if self.v2 else LEGACY_SERVES
        with transaction() as session:
            return consume(
                session,
                operation,
                now=self.now,
                evaluate=lambda _: evaluation,
                policy=replace(self.policy, engines=self.engines),
            )

    def books(self, user_id: str) -> Books:
        """Return both books as anybody may read them."""
        with read_only() as session:
            found = accounts.find(session, user_id)
            assert found is not None
            return account_books.read_books(session, found[0], self.now)

    def journal(self, user_id: str) -> list[Mapping[str, Any]]:
        """Return every journal row of a user, oldest first."""
        with read_only() as session:
            query = select(JOURNAL).where(JOURNAL.c.user_id == user_id).order_by(JOURNAL.c.id)
            return [dict(row) for row in session.execute(query).mappings()]


@pytest.fixture
def consumer(app: Flask) -> Iterator["Consumer"]:
    """A consumer of credits in an application whose context is open for the test."""
    with app.app_context():
        yield Consumer(app)


@pytest.fixture
def acme(app: Flask) -> Iterator[None]:
    """An organisation on `free`, whose plan has 100 analysis credits, and people who may become members."""
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(
        *(UserAttributes(user, "free", organisation.NOW - timedelta(days=90)) for user in ("acme", "ada", "bob", "eve"))
    )
    installation.publish()
    with app.app_context():
        yield
