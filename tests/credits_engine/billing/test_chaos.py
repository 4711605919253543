"""Whatever Stripe's delivery does and whichever worker dies: the same final state as one orderly delivery."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import case, func, select

from control_plane.app import create_app
from control_plane.platform.db.database import db, read_only
from control_plane.platform.settings import SETTINGS
from credits_engine.billing.entitlements import period_sweep
from credits_engine.billing.inbox.worker import LEASE
from credits_engine.billing.models import ACCOUNTS, EVENTS, IS_OPEN
from credits_engine.billing.store.inbox import State
from credits_engine.store.tables import JOURNAL
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.stories import created, random_life
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_stripe import START
from tests.credits_engine.billing.workers import WorkerPool, at_work

pytestmark = pytest.mark.faults

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LIFE_DAYS = 120
THE_END = START + timedelta(days=LIFE_DAYS + 60)
Figures = tuple[int, int, int]
SHORT: Figures = (25, 400, 6)
FULL: Figures = (500, 10_000, 100)


def lives(customers: int, least: int, chance: random.Random) -> list[Json]:
    """Return the events of so many customers, at least `least` in all, in the order of their creation."""
    days = LIFE_DAYS
    found: list[Json] = []
    for number in range(customers):
        generation = GENERATIONS[number % len(GENERATIONS)]
        life = random_life(chance.randrange(10**9), user=f"user{number}", days=days, generation=generation)
        found += life.events
    assert len(found) >= least, len(found)
    return sorted(found, key=lambda event: event["created"])


def mangled(events: Sequence[Json], chance: random.Random) -> list[tuple[datetime, Json]]:
    """Deliver each event one to five times, each time up to an hour after it was made."""
    deliveries = [
        (created(event) + chance.random() * HOUR, event) for event in events for _ in range(chance.randint(1, 5))
    ]
    return sorted(deliveries, key=lambda each: each[0])


def by_hour(deliveries: Sequence[tuple[datetime, Json]]) -> Iterator[tuple[datetime, list[Json]]]:
    """Yield the deliveries of every hour, with that hour's end: the clock goes on in hours without any."""
    by_number = groupby(deliveries, key=lambda each: _hour(each[0]))
    grouped = {number: [event for _, event in group] for number, group in by_number}
    for hour in range(_hour(THE_END)):
        yield START + (hour + 1) * HOUR, grouped.get(hour, [])


def in_order(billing: Billing, events: Sequence[Json]) -> dict[str, Any]:
    """Return the state after every event came once, at the second it was made, and the clock did its part each hour."""
    sweeper = Sweeper()
    for end_of_hour, made in by_hour([(created(event), event) for event in events]):
        for event in made:
            billing.process([event], at=created(event))
        sweeper.settle(end_of_hour, anything_new=bool(made))
    billing.work(at=THE_END)
    return billing.final_state()


class Sweeper:
    """The clock's part: it applies what has fallen due, and asks nothing while nothing can have."""

    def __init__(self) -> None:
        self._next_at: datetime | None = START

    def settle(self, now: datetime, *, anything_new: bool) -> None:
        """Do the clock's part up to `now`; only events and itself can move what falls due next."""
        if anything_new or (self._next_at and self._next_at <= now):
            while period_sweep.sync_due(now):
                pass
            with read_only() as session:
                self._next_at = session.scalar(select(func.min(ACCOUNTS.c.due_at)))


def wait_until_done(pool: WorkerPool, now: datetime) -> None:
    """Let the workers finish; time passes where somebody died with a claim in the hand."""
    while waiting := _open():
        if all(next_at > now and claimed_by not in pool.names for next_at, claimed_by in waiting):
            now += LEASE
            pool.clock.set(now)
        time.sleep(0.005)


def _hour(moment: datetime) -> int:
    return (moment - START) // HOUR


def _open() -> list[tuple[datetime, str | None]]:
    """Return for each event that is not done when it may be claimed, and by whom it is."""
    claimed_by = case((EVENTS.c.state == State.CLAIMED.value, EVENTS.c.claimed_by))
    with read_only() as session:
        return [(row[0], row[1]) for row in session.execute(select(EVENTS.c.next_at, claimed_by).where(IS_OPEN))]


def in_chaos(
    billing: Billing, pool: WorkerPool, events: Sequence[Json], kills: int, chance: random.Random
) -> dict[str, Any]:
    """Return the state after mangled deliveries to workers that are killed while they work."""
    hours = list(by_hour(mangled(events, chance)))
    busy = [number for number, (_, delivered) in enumerate(hours) if delivered]
    sweeper = Sweeper()
    fatal = Counter(chance.choices(busy, k=kills))
    for number, (end_of_hour, delivered) in enumerate(hours):
        if delivered:
            pool.clock.set(end_of_hour)
            billing.now = end_of_hour
            billing.deliver(*delivered)
            for _ in range(fatal[number]):
                time.sleep(chance.uniform(0, 0.05))
                pool.kill_one(chance)
            wait_until_done(pool, end_of_hour)
        sweeper.settle(end_of_hour, anything_new=bool(delivered))
    return billing.final_state()


@pytest.fixture
def orderly_billing(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, billing: Billing
) -> Iterator[Billing]:
    """A second billing on a database of its own, for the orderly run."""
    place = tmp_path_factory.mktemp("orderly")
    url = f"sqlite:///{shutil.copy(sqlite_template, place / 'rollout.db')}"
    app = create_app(replace(SETTINGS.get(billing.app), database_url=url, instance_dir=place))
    with app.app_context():
        yield Billing(app, START)
        db.engine.dispose()


@pytest.mark.parametrize(
    "figures", [pytest.param(SHORT, id="short"), pytest.param(FULL, id="full", marks=pytest.mark.long)]
)
def test_chaos_ends_where_order_ends(
    billing: Billing, orderly_billing: Billing, database_url: str, figures: Figures
) -> None:
    customers, least, kills = figures
    chance = random.Random(20261110)
    events = lives(customers, least, chance)
    orderly = in_order(orderly_billing, events)
    with billing.app.app_context(), at_work(database_url, size=2) as pool:
        chaotic = in_chaos(billing, pool, events, kills, chance)
        assert pool.kills == kills
        arrived = billing.rows(EVENTS)
        journal = billing.rows(JOURNAL)

    assert {row["event_id"] for row in arrived} == {event["id"] for event in events}
    assert {row["state"] for row in arrived} <= {"applied", "superseded", "ignored"}
    for table, rows in orderly.items():
        assert chaotic[table] == rows, table
    resets = [(row["user_id"], row["v2_period_start"]) for row in journal if row["type"] == "period_close"]
    assert len(resets) == len(set(resets)) == len(chaotic["billing_opening"])


@pytest.mark.long
@pytest.mark.database("sqlite")
@pytest.mark.parametrize("seed", range(5))
def test_lateness_and_order_never_matter(billing: Billing, orderly_billing: Billing, seed: int) -> None:
    chance = random.Random(seed)
    events = lives(150, 3_000, chance)
    orderly = in_order(orderly_billing, events)
    sweeper = Sweeper()
    with billing.app.app_context():
        for end_of_hour, delivered in by_hour(mangled(events, chance)):
            chance.shuffle(delivered)
            if delivered:
                billing.process(delivered, at=end_of_hour)
            while _open():
                billing.work(at=end_of_hour)
            sweeper.settle(end_of_hour, anything_new=bool(delivered))
        assert billing.final_state() == orderly
