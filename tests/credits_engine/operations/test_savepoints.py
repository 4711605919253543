"""What fails for one user is undone for that user alone, within the transaction that goes on."""

from datetime import UTC, datetime

from sqlalchemy import func, select, update

from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import Amounts
from credits_engine.migration.backfill import backfill
from credits_engine.store.tables import COUNTERS, LEGACY
from tests.credits_engine.conftest import Consumer


def test_a_user_whose_backfill_fails_stays_as_they_were(consumer: Consumer) -> None:
    consumer.user("ada", anchor=datetime(2026, 1, 20, tzinfo=UTC))
    consumer.take("ada", "k1", analysis=3)
    with transaction() as session:
        session.execute(update(LEGACY).values(used=Amounts(analysis=0)))
    next_period = datetime(2027, 3, 25, tzinfo=UTC)
    ((done,),) = backfill(now=next_period, batch_size=10)
    assert "holds less than the journal" in (done.error or "")
    with read_only() as session:
        assert session.scalar(select(func.count()).select_from(COUNTERS)) == 1
