"""The whole product under a fault: operations over HTTP, the engines that answer them, and the guard after each few."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zlib import crc32

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from alerts import store
from alerts.analysis.verdicts import Verdict
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, Rollout, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed
from control_plane.rollouts import store as rollout_store
from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, Engine, Request
from credits_engine.operations import execution, reservations
from credits_engine.operations.consumption import Engines, consume
from credits_engine.operations.reservations import ReservationResult, reserve
from flags.store import UserAttributes, upsert_users
from tests.credits_engine.examples import consume_by

USERS = 400
BETA = 8
"""So many of them, the last ones, are on the allowlist."""
EVERY = 5
"""Operations between two looks of the guard."""

Fails = Callable[[Request], bool]


def always(_request: Request) -> bool:
    return True


def share_of_users(share: float) -> Fails:
    """Fail the same users each time."""
    return lambda request: crc32(request.user_id.encode()) % 1000 < share * 1000


def one_in(number: int) -> Fails:
    """Fail every such request, whoever asks."""
    asked = count(1)
    return lambda _request: next(asked) % number == 0


def failing(engine: Engine, fails: Fails) -> Engine:
    """Return the engine, but for the requests that it fails."""

    def decide(book: Book, request: Request) -> Decision:
        if fails(request):
            raise ValueError
        return engine(book, request)

    return decide


def overcharging(engine: Engine, fails: Fails) -> Engine:
    """Return the engine, but for requests for which it charges one credit more than it was asked for."""

    def decide(book: Book, request: Request) -> Decision:
        decision = engine(book, request)
        more = Amounts(analysis=1) if fails(request) else Amounts()
        return replace(decision, charged=decision.charged + more)

    return decide


class Product:
    """A rollout at some percentage of everyone, its callers and its guard."""

    def __init__(
        self, app: Flask, patch: pytest.MonkeyPatch, token: str, position: Position, *, plan: str = "plus"
    ) -> None:
        self.client = app.test_client()
        self.patch = patch
        self.headers = {"Authorization": f"Bearer {token}"}
        self.keys = count()
        self.now = datetime.now(UTC)
        with transaction() as session:
            rollouts.plan(session, FLAG, default_plan(self.now), ChangeContext(self.now, "alice", "The guide."))
            found = rollouts.find(session, FLAG)
            after = replace(found, position=position, version=found.version + 1)
            assert rollout_store.compare_and_set(session, after, expected_version=found.version)
            change_feed.publish(session, rollouts.TOPIC, FLAG, now=self.now)
            joined = self.now - timedelta(days=90)
            users = [UserAttributes(f"u{number}", plan, joined, beta=number >= USERS - BETA) for number in range(USERS)]
            upsert_users(session, users, now=self.now)
        self.watch()

    def engines(self, *, v2: Engine = v2.decide, legacy_engine: Engine = legacy.decide) -> None:
        """Let these engines answer from now on."""
        engines = Engines(legacy=legacy_engine, v2=v2)
        self.patch.setattr(execution, "consume", consume_by(engines))

    def crash(self, crashes: Callable[[str], bool], *, users: str = "") -> None:
        """Let what happens around the engines fail for operations that this engine serves to users named like this."""

        def consume_and_crash(*arguments: Any, **options: Any) -> object:
            receipt = consume(*arguments, **options)
            if crashes(receipt.served.engine.value) and receipt.user_id.startswith(users):
                raise RuntimeError
            return receipt

        def reserve_and_crash(*arguments: object, **options: object) -> object:
            receipt = reserve(*arguments, **options)  # type: ignore[arg-type]
            if crashes(receipt.served.engine.value):
                raise RuntimeError
            return receipt

        self.patch.setattr(execution, "consume", consume_and_crash)
        self.patch.setattr(execution, "reserve", reserve_and_crash)

    def crash_settling(self, crashes: Callable[[str], bool]) -> None:
        """Let what ends a reservation fail after it, for reservations that this engine granted."""
        finalize = reservations._finalize

        def finalize_and_crash(*arguments: Any, **options: Any) -> ReservationResult:
            result = finalize(*arguments, **options)
            if crashes(result.engine.value):
                raise RuntimeError
            return result

        self.patch.setattr(reservations, "_finalize", finalize_and_crash)

    def lose_database(self) -> None:
        """Let every operation wait for a lock in vain."""

        def wait(*_: object, **__: object) -> object:
            raise OperationalError("UPDATE", {}, Exception("canceling statement due to lock timeout"))

        self.patch.setattr(execution, "consume", wait)

    def ask(self, user: str, *, key: str | None = None, kind: str = "analysis", amount: int = 1) -> int:
        """Consume over HTTP once; the status of the answer."""
        return self._post("consume", {"userId": user, "creditType": kind, "amount": amount}, key)

    def reserve(self, user: str, *, key: str) -> int:
        """Reserve one credit over HTTP; the status of the answer."""
        return self._post("reserve", {"userId": user, "creditType": "analysis", "amount": 1}, key)

    def settle(self, user: str, *, key: str, path: str) -> int:
        """Commit or release a reservation over HTTP; the status of the answer."""
        return self._post(path, {"userId": user}, key)

    def _post(self, path: str, body: dict[str, object], key: str | None) -> int:
        headers = self.headers | {"Idempotency-Key": key or f"k{next(self.keys)}"}
        return self.client.post(f"/api/credits/{path}", json=body, headers=headers).status_code

    def operate(self, operations: int, *, user: str | None = None, key: str | None = None) -> None:
        """Consume over HTTP, and let the guard look; ends early once it has rolled back."""
        for number in range(operations):
            self.ask(user or f"u{number % USERS}", key=key)
            if number % EVERY == EVERY - 1:
                self.watch()
                if self.rollout.state is RolloutState.ROLLED_BACK:
                    return

    def operate_reservations(self, operations: int) -> None:
        """Reserve over HTTP, and let the guard look."""
        for number in range(operations):
            self.reserve(f"u{number % USERS}", key=f"r{next(self.keys)}")
            if number % EVERY == EVERY - 1:
                self.watch()

    def operate_settlements(self, operations: int, path: str) -> None:
        """Reserve, and commit or release over HTTP, and let the guard look."""
        for number in range(operations):
            user, key = f"u{number % USERS}", f"s{next(self.keys)}"
            self.reserve(user, key=key)
            self.settle(user, key=key, path=path)
            if number % EVERY == EVERY - 1:
                self.watch()

    def watch(self) -> None:
        """Run one tick of the guard."""
        run_guard(datetime.now(UTC), 1)

    @property
    def rollout(self) -> Rollout:
        with read_only() as session:
            return rollouts.find(session, FLAG)

    def verdict(self, alert: str) -> Verdict:
        """Return the guard's verdict on an alert."""
        return next(verdict for verdict in self.verdicts() if verdict.alert == alert)

    def verdicts(self) -> list[Verdict]:
        """Return the guard's verdicts on all alerts."""
        with read_only() as session:
            return store.latest_verdicts(session, FLAG, attempt=self.rollout.attempt)
