"""Random happenings around one user, drawn from dice that can be thrown again."""

import random
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Position, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts import store as rollout_store
from credits_engine.administration.top_ups import Purchase, top_up
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations.consumption import Operation
from credits_engine.store import accounts, retirement
from credits_engine.store.accounts import EVERYBODY
from credits_engine.store.tables import BILLING, USERS
from flags import store as flag_store
from flags.store import Effect
from flags.store.revisions import DIRECTORY, OVERRIDE
from tests.credits_engine.examples import NOW

PLANS = ("free", "starter_trial", "starter", "pro", "plus", "creator_plus", "custom", "gold")
ASKED = ((1, 0), (0, 1), (2, 3), (60, 0), (0, 7), (101, 11), (0, 60))
LEASES = (0, 10**7, 10**9, 10**9)


@dataclass
class RandomUser:
    """One user and the instant; `dice` decides what happens to them."""

    number: int
    now: datetime = NOW
    environment: str = "production"
    environment_switch: bool | None = None
    failing: bool = False
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.number)

    @property
    def user(self) -> str:
        return f"user-{self.number}"


def arrange(session: Session, random_user: RandomUser) -> None:
    """Put a user into the directory, with a process to serve them, and now and then another rollout."""
    dice = random_user.dice
    random_user.now += timedelta(days=dice.randint(0, 400), microseconds=dice.randint(0, 86_400_000_000))
    random_user.environment = dice.choice(("production",) * 8 + ("staging", "development"))
    random_user.environment_switch = dice.choice((None,) * 8 + (True, False))
    nearly = timedelta(microseconds=dice.choice((0, 1, 999, 1_000, 10**9)))
    day = datetime(2026, dice.randint(1, 12), 28, 23, 59, dice.randint(0, 59), dice.choice((0, 7)), UTC)
    row = {
        "user_id": random_user.user,
        "plan": dice.choice(PLANS[:-1]) if dice.random() < 0.5 else "free",
        "signed_up_at": dice.choice((None, NOW + nearly, NOW - nearly)),
        "beta": dice.random() < 0.2,
        "billing_anchor": dice.choice((None, day + timedelta(days=dice.randint(0, 3)))),
        "updated_at": NOW,
    }
    session.execute(insert(USERS), row)
    change_feed.publish(session, DIRECTORY, random_user.user, now=NOW)
    if dice.random() < 0.3:
        move(session, random_user)


def operation(random_user: RandomUser) -> Operation:
    """Draw an operation of the user, under one of few keys."""
    analysis, roast = random_user.dice.choice(ASKED)
    return Operation(random_user.user, f"k{random_user.dice.randrange(3)}", Amounts(analysis, roast), actor="test")


def disturb(session: Session, random_user: RandomUser) -> None:
    """Anything that may happen between two operations."""
    dice = random_user.dice
    match dice.randrange(10):
        case 0 | 1:
            random_user.now += timedelta(days=dice.choice((-20, -1, 0, 1, 20, 35, 400)), seconds=dice.randint(-50, 50))
        case 2 | 3:
            session.execute(update(USERS).where(USERS.c.user_id == random_user.user).values(plan=dice.choice(PLANS)))
        case 4:
            _freeze(session, random_user)
        case 5:
            move(session, random_user)
        case 6:
            _block(session, random_user)
        case 7:
            random_user.failing = True
        case 8 | 9:
            kind, amount = dice.choice(tuple(KINDS)), dice.choice((1, 5, 70))
            bought = Purchase(random_user.user, kind, amount, random_user.now + timedelta(days=dice.choice((1, 30))))
            with suppress(UnknownPlanError):
                top_up(session, bought, ChangeContext(random_user.now, "test", "Bought for a test."))


def move(session: Session, random_user: RandomUser) -> None:
    """Put the rollout, its guard, legacy's retirement and what is said of this user by name somewhere else."""
    dice = random_user.dice
    if dice.random() < 0.2 and not retirement.reinstate(session):
        retirement.retire(session, now=NOW, actor="test", reason="Retired for a test.")
    rollout = rollouts.find(session, FLAG)
    phase = dice.randrange(len(rollout.plan.phases))
    position = Position(phase, dice.randrange(len(rollout.plan.phases[phase].steps)))
    state = dice.choice((RolloutState.RUNNING,) * 5 + (RolloutState.ROLLED_BACK, RolloutState.HELD))
    after = replace(rollout, position=position, state=state, version=rollout.version + 1)
    assert rollout_store.compare_and_set(session, after, expected_version=rollout.version)
    leases.heartbeat(session, now=NOW, term=1, ttl_seconds=dice.choice(LEASES))
    change_feed.publish(session, rollouts.TOPIC, FLAG, now=NOW)
    for effect in Effect:
        if dice.random() < 0.2:
            until = dice.choice((None, random_user.now, random_user.now + timedelta(seconds=1)))
            flag_store.put_override(
                session, FLAG, random_user.user, effect, ChangeContext(NOW, "test", "A test."), expires_at=until
            )
            change_feed.publish(session, OVERRIDE, FLAG, now=NOW)


def _freeze(session: Session, random_user: RandomUser) -> None:
    who, words = (
        random_user.dice.choice((random_user.user, EVERYBODY)),
        "Frozen for a test. " * random_user.dice.choice((1, 20)),
    )
    if not accounts.unfreeze(session, who):
        accounts.freeze(session, who, now=NOW, actor="test", reason=words)


def _block(session: Session, random_user: RandomUser) -> None:
    """Billing has a word about the user; nothing of it is due."""
    session.execute(delete(BILLING).where(BILLING.c.user_id == random_user.user))
    row = {
        "user_id": random_user.user,
        "original_plan": "free",
        "reason": "",
        "blocked": random_user.dice.choice((None, "Payment failed.")),
        "due_at": random_user.dice.choice((None, random_user.now + timedelta(days=900))),
        "updated_at": NOW,
    }
    session.execute(insert(BILLING), row)
