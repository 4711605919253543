"""A rule of what rolls over, in force in this process and in the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from control_plane.platform.db.database import transaction
from credits_engine.administration import plan_catalogue
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.plan_versions import PlanVersion
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt
from credits_engine.engines.rollovers import Rollover, Rollovers
from credits_engine.store import plan_versions
from tests.credits_engine.conftest import Consumer

RULE: Rollovers = {"analysis": Rollover(max=60), "roast": Rollover(max_percent=50, periods=2)}
"""Of 100 analysis credits 60 at most; of 10 for roasts five, for two periods."""


@contextmanager
def rolling(plan: str, now: datetime, rule: Rollovers = RULE) -> Iterator[None]:
    """Let a plan roll over by a rule as of long ago, with the limits that it has."""
    catalogue = dict(vars(CATALOGUE))
    granted = CATALOGUE.plan(plan)
    limits: dict[str, tuple[int | None, int | None]] = {
        kind: (granted.v2[kind], granted.legacy[kind]) for kind in KINDS
    }
    version = PlanVersion(plan, granted.title, now - timedelta(days=4_000), limits, rollovers=rule)
    with transaction() as session:
        plan_versions.add(session, version, now=now, by="test")
    plan_catalogue.reload(now)
    try:
        yield
    finally:
        vars(CATALOGUE).update(catalogue)


def take(consumer: Consumer, at: datetime, key: str, analysis: int = 0, roast: int = 0) -> Receipt:
    """Let ada consume at an instant, from which on it is that time."""
    consumer.now = at
    return consumer.take("ada", key, analysis, roast)
