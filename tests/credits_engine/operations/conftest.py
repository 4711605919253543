"""What tests of operations share."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from control_plane.platform.db.database import read_only
from credits_engine.reconciliation.journal import reconcile
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.rolling import rolling


@pytest.fixture
def rollover_of_free(consumer: Consumer) -> Iterator[None]:
    """60 of 100 analysis credits, and half of ten roasts for two periods, roll over of `free`; v2 serves ada."""
    consumer.user("ada")
    consumer.v2 = True
    with rolling("free", datetime(2027, 3, 1, tzinfo=UTC)):
        yield
    with read_only() as session:
        assert reconcile(session).clean
