"""An installation as tests change it: flags, people and rollouts moved without asking gates or soak times."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import tokens
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts import store as rollout_store
from flags.administration.users import UserChange, import_users
from flags.store import UserAttributes

CUTOVER = datetime.now(UTC) - timedelta(days=30)
A_YEAR = timedelta(days=365).total_seconds()
REASON = "For a test."


@dataclass(frozen=True, slots=True)
class Installation:
    """The installation behind `app`, to be changed; another process may serve it."""

    app: Flask

    def plan(self, flag: str = FLAG) -> None:
        """Begin the guide's rollout, whose newcomers are those of the last thirty days."""
        with self.app.app_context(), transaction() as session:
            rollouts.plan(session, flag, default_plan(CUTOVER), ChangeContext(datetime.now(UTC), "test", REASON))

    def token(self, kind: str, environment: str = "production", **options: Any) -> str:
        """Return the text of a new token."""
        with self.app.app_context(), transaction() as session:
            return tokens.create_token(
                session,
                tokens.NewToken(f"a {kind} token", kind, environment=environment, **options),
                now=datetime.now(UTC),
            )

    def watch(self) -> None:
        """Let the guard's lease last through any test, as if it beat all the time."""
        with self.app.app_context(), transaction() as session:
            leases.heartbeat(session, now=datetime.now(UTC), term=10**6, ttl_seconds=A_YEAR)

    def users(self, *users: UserAttributes) -> None:
        """Enter users in the directory."""
        with self.app.app_context(), transaction() as session:
            import_users(session, map(_change, users), actor="test", now=datetime.now(UTC))

    def move(self, phase: int, step: int = 0, *, flag: str = FLAG) -> None:
        """Put the rollout at this position, past every gate and every soak time."""
        with self.app.app_context(), transaction() as session:
            rollout = rollouts.find(session, flag)
            after = replace(
                rollout, position=Position(phase, step), version=rollout.version + 1, state=RolloutState.RUNNING
            )
            assert rollout_store.compare_and_set(session, after, expected_version=rollout.version)
            change_feed.publish(session, rollouts.TOPIC, flag, now=datetime.now(UTC))

    def roll_back(self, *, in_all: bool = False) -> None:
        """Legacy for everybody; in development and staging with `in_all` alone."""
        with self.app.app_context(), transaction() as session:
            rollouts.roll_back(session, FLAG, ChangeContext(datetime.now(UTC), "test", REASON), in_all=in_all)

    def publish(self) -> None:
        """Let this process see what was changed, as its change feed would."""
        with self.app.app_context():
            change_feed.feed().refresh()


def _change(user: UserAttributes) -> UserChange:
    attributes = asdict(user)
    return UserChange(attributes.pop("user_id"), attributes)
