"""The official clients, unmodified, in front of the real server; and an office next door where things are changed."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane import store as rollout_store
from control_plane.phases import FLAG, Position, guide_plan
from control_plane.platform import announce, identity, leases
from control_plane.platform.database import transaction
from control_plane.platform.settings import Settings
from flags import store
from flags.store import UserAttributes
from tests.applications import application
from tests.serving import Served, serving

CUTOVER = datetime.now(UTC) - timedelta(days=30)
PATIENCE_SECONDS = 30
A_YEAR = timedelta(days=365).total_seconds()


@dataclass(frozen=True, slots=True)
class Office:
    """Where the installation is changed: another process than the one that serves it."""

    app: Flask

    def token(self, kind: str, environment: str = "production", **options: Any) -> str:
        """The text of a new token."""
        with self.app.app_context(), transaction() as session:
            return identity.create_token(
                session, f"a {kind} token", kind, environment=environment, now=datetime.now(UTC), **options
            )

    def watch(self) -> None:
        """Let the guard's lease last through any test, as if it beat all the time."""
        with self.app.app_context(), transaction() as session:
            leases.beat(session, now=datetime.now(UTC), term=10**6, ttl_seconds=A_YEAR)

    def users(self, *users: UserAttributes) -> None:
        """Enter users in the directory."""
        with self.app.app_context(), transaction() as session:
            store.upsert_users(session, users, now=datetime.now(UTC))

    def move(self, phase: int, step: int = 0) -> None:
        """Put the rollout at this position, past every gate and every soak time."""
        with self.app.app_context(), transaction() as session:
            rollout = rollouts.find(session, FLAG)
            after = replace(rollout, position=Position(phase, step), version=rollout.version + 1)
            assert rollout_store.compare_and_set(session, after, expected_version=rollout.version)
            announce.publish(session, rollouts.TOPIC, FLAG, now=datetime.now(UTC))

    def roll_back(self) -> None:
        """Legacy for everybody."""
        with self.app.app_context(), transaction() as session:
            rollouts.roll_back(session, FLAG, now=datetime.now(UTC), actor="test", reason="A test rolls back.")


@pytest.fixture
def installation(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[Served, Office]]:
    """A served installation whose rollout is at its lowest step, and its office."""
    shutil.copy(sqlite_template, tmp_path / "rollout.db")
    settings = Settings(
        database_url=f"sqlite:///{tmp_path / 'rollout.db'}", instance_dir=tmp_path, secret_key="-", background=False
    )
    with application(settings) as app:
        office = Office(app)
        with app.app_context(), transaction() as session:
            plan = guide_plan(CUTOVER)
            rollouts.plan(session, FLAG, plan, now=datetime.now(UTC), actor="test", reason="For a test.")
        office.watch()
        with serving(tmp_path) as served:
            yield served, office


@pytest.fixture
def url(installation: tuple[Served, Office]) -> str:
    """Where the installation answers."""
    return installation[0].url


@pytest.fixture
def office(installation: tuple[Served, Office]) -> Office:
    """Where the installation is changed."""
    return installation[1]


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """`eventually(lambda: …)` returns once it is so, and fails if that takes far too long."""

    def wait(is_so: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert time.monotonic() < give_up, "It did not come about."
            time.sleep(0.02)

    return wait
