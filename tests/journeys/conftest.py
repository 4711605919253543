"""Usage to rehearse on.

The user's recorded usage lies beside the repository; where it does not, usage made up in its shape takes its place.
"""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dashboards.simulation.traffic import generate_traffic
from dashboards.simulation.usage_log import COLUMNS
from tests.journeys.usage import OPERATIONS

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "usage.csv"


@pytest.fixture(scope="session")
def recorded_usage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of usage."""
    if RECORDED.exists():
        return RECORDED
    path = tmp_path_factory.mktemp("usage") / "usage.csv"
    rows = generate_traffic(
        seed=1, begins_at=datetime(2026, 1, 1, 8, tzinfo=UTC), between=timedelta(minutes=35), operations=OPERATIONS
    )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            ((kind, amount),) = ((kind, amount) for kind, amount in row.amounts.items() if amount)
            assert row.signed_up_at is not None
            instants = row.occurred_at.isoformat(), row.signed_up_at.isoformat()
            writer.writerow([row.operation_id, instants[0], row.user_id, instants[1], row.plan, kind, amount])
    return path
