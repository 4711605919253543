"""Perform usage with the real use case and transaction, and with a v2 engine that injects faults."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from credits_engine.engines import legacy as legacy_engine
from credits_engine.engines.decisions import Engine
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.consumption import EnginePolicy, Engines, Operation, consume
from credits_engine.operations.guard_signals import outcome_signals
from credits_engine.operations.routing import evaluate_flag
from dashboards.simulation.fault_injection import SLOW_NANOSECONDS, FaultInjectingEngine
from dashboards.simulation.usage_log import UsageRow
from flags.store import UserAttributes, upsert_users

ACTOR = "rehearsal"
KNOWN_USERS_MAX = 200_000
STATEMENT_SLOW = "database_query_slow"


class Simulator:
    """Performs operations one by one, introducing each user to the directory at its first."""

    def __init__(
        self, v2: FaultInjectingEngine, *, beta: frozenset[str], legacy: Engine = legacy_engine.decide
    ) -> None:
        self._v2 = v2
        self._engines = Engines(legacy, v2.decide)
        self._beta = beta
        self._known_users: set[str] = set()

    def perform(self, row: UsageRow, now: datetime) -> Receipt:
        """Consume what the row asks for at `now`, and tell the guard."""
        operation = Operation(row.user_id, row.operation_id, row.amounts, actor=ACTOR)
        delay_before = self._v2.delay_nanoseconds
        with transaction() as session:
            if row.user_id not in self._known_users:
                self._introduce(session, row, now)
            receipt = consume(
                session,
                operation,
                now=now,
                evaluate=evaluate_flag(session, now),
                policy=EnginePolicy(engines=self._engines, timer=self._v2.timer),
            )
        slow = self._v2.delay_nanoseconds - delay_before >= SLOW_NANOSECONDS
        signals.record(*outcome_signals(receipt), Sample(STATEMENT_SLOW, slow, engine="v2"))
        return receipt

    def _introduce(self, session: Session, row: UsageRow, now: datetime) -> None:
        if len(self._known_users) >= KNOWN_USERS_MAX:
            self._known_users.clear()  # bounded memory: being introduced twice changes nothing
        self._known_users.add(row.user_id)
        attributes = UserAttributes(row.user_id, row.plan, row.signed_up_at, beta=row.user_id in self._beta)
        upsert_users(session, [attributes], now=now)
