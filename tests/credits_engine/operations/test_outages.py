"""No room, no right to write, no connection: nothing is half written, callers learn to try again, and it goes on."""

import pytest
import structlog
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from control_plane.platform.db.database import read_only
from control_plane.platform.settings import Settings
from credits_engine.store.tables import JOURNAL
from tests.credits_engine.api.test_operations import Service
from tests.credits_engine.conftest import Consumer
from tests.faults.ledger import assert_whole
from tests.outages import exhausted, full, read_only_database

PLENTY = 400
"""More operations than the free room of the pages that a nearly empty database already has."""


@pytest.fixture
def service(consumer: Consumer, settings: Settings) -> Service:
    consumer.user("ada", "plus")
    return Service(consumer.app, settings)


def answered(response: TestResponse) -> int:
    """Return the journal row that answers."""
    assert response.status_code == 200, response.text
    return int(response.get_json()["operationId"])


def journalled() -> int:
    with read_only() as session:
        return session.scalar(select(func.count()).select_from(JOURNAL)) or 0


def test_a_full_disk_refuses_in_words_loses_nothing_and_goes_on_with_room(consumer: Consumer, service: Service) -> None:
    answered(service.consume(key="before"))
    acknowledged = {"before"}
    with full(consumer.app), structlog.testing.capture_logs() as logs:
        for number in range(PLENTY):
            refused = service.consume(key=f"k{number}")
            if refused.status_code != 200:
                break
            acknowledged.add(f"k{number}")
        assert refused.status_code == 503, refused.text
        assert refused.get_json()["code"] == "DATABASE_UNAVAILABLE"
        assert refused.headers["Retry-After"]
        assert service.status("ada").status_code == 200, "what is there can be read"
        assert answered(service.consume(key="before")) == 1, "and a known key be answered"
        assert journalled() == len(acknowledged)
    causes = [str(line.get("cause")) for line in logs]
    assert any("disk is full" in cause or "No space left" in cause for cause in causes), causes
    answered(service.consume(key=f"k{number}"))
    rows = assert_whole(consumer.app)
    assert {row["operation_key"] for row in rows} == acknowledged | {f"k{number}"}
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used


@pytest.mark.database("postgresql")
@pytest.mark.parametrize("table", ["credit_journal", "operation_key", "usage_counters", "legacy_book"])
def test_whichever_row_finds_no_room_none_is_written(consumer: Consumer, service: Service, table: str) -> None:
    """Each of the rows in turn is the one for which PostgreSQL has no room left."""
    answered(service.consume(key="before"))
    with full(consumer.app, table):
        refused = service.consume(key="k1")
        assert (refused.status_code, refused.get_json()["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert len(assert_whole(consumer.app)) == 1
    answered(service.consume(key="k1"))
    assert len(assert_whole(consumer.app)) == 2


def test_a_database_that_became_read_only_refuses_in_words_and_goes_on_afterwards(
    consumer: Consumer, service: Service
) -> None:
    answered(service.consume(key="before"))
    with read_only_database(consumer.app):
        refused = service.consume(key="k1")
        assert (refused.status_code, refused.get_json()["code"]) == (503, "DATABASE_UNAVAILABLE"), refused.text
        assert service.status("ada").status_code == 200, "what is there can be read"
        assert len(assert_whole(consumer.app)) == 1
    answered(service.consume(key="k1"))
    assert len(assert_whole(consumer.app)) == 2


def test_without_a_free_connection_callers_are_told_to_try_again(consumer: Consumer, service: Service) -> None:
    answered(service.consume(key="before"))
    with exhausted(consumer.app):
        refused = service.consume(key="k1")
        assert (refused.status_code, refused.get_json()["code"]) == (503, "DATABASE_UNAVAILABLE"), refused.text
    answered(service.consume(key="k1"))
    assert len(assert_whole(consumer.app)) == 2
