"""Whatever users did, and whoever of them is erased: sums, chain and everybody else stay as they were."""

import random

import pytest
from sqlalchemy import func, select

from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.erasure import service
from credits_engine.reconciliation import scheduled, totals
from credits_engine.store.tables import COUNTERS, JOURNAL, LEGACY, PACKS
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.erasure.conftest import change, found
from tests.faults.ledger import assert_whole

USERS = ("ada", "ada-2", "Ada", "zoë@x.org", "o'neil", 'say "hi"', "u_1%", "back\\slash", "12", "x")
"""Ids that contain, resemble or quote each other, or are wildcards of SQL."""
BOOKS = {"legacy": LEGACY, "counters": COUNTERS}


def books() -> dict[str, dict[str, list[Amounts]]]:
    with read_only() as session:
        rows = {name: session.execute(select(table.c.user_id, table.c.used)).all() for name, table in BOOKS.items()}
    return {
        name: {user: [row.used for row in of if row.user_id == user] for user in USERS} for name, of in rows.items()
    }


def figures() -> list[object]:
    with read_only() as session:
        return [
            session.execute(select(JOURNAL.c.id, JOURNAL.c.charged, JOURNAL.c.v2_posted).order_by(JOURNAL.c.id)).all(),
            session.scalar(select(func.count()).select_from(PACKS)),
            session.scalar(select(func.sum(PACKS.c.remaining))),
        ]


def live(consumer: Consumer, dice: random.Random, number: int) -> None:
    """Let one thing happen to one user."""
    user = dice.choice(USERS)
    match dice.randrange(4):
        case 0:
            with transaction() as session:
                purchase = Purchase(user, KINDS[0], 50, consumer.now.replace(year=consumer.now.year + 1))
                top_ups.top_up(session, purchase, change(f"{user} paid.", consumer.now))
        case 1:
            with transaction() as session:
                corrections.freeze(session, user, change(f'Of "{user}".', consumer.now))
                corrections.unfreeze(session, user, change("Again.", consumer.now))
        case _:
            consumer.take(user, f"{user}-{number}", analysis=dice.randint(0, 40), roast=dice.randint(1, 3))


@pytest.mark.parametrize("seed", range(6))
def test_sums_chain_and_everybody_else_stay(consumer: Consumer, seed: int) -> None:
    dice = random.Random(seed)
    for user in USERS:
        consumer.user(user, dice.choice(("free", "pro")))
    left = list(USERS)
    for number in range(40):
        live(consumer, dice, number)
    totals.advance()
    for _ in range(3):
        user = left.pop(dice.randrange(len(left)))
        before, sums = books(), figures()
        service.erase(user, change(now=consumer.now))
        after = books()
        assert figures() == sums
        assert all(after[name][other] == before[name][other] for name in BOOKS for other in USERS if other != user)
        assert all(after[name][user] == [] for name in BOOKS)
        assert (
            scheduled.check_books(consumer.now, "schedule").found
            == scheduled.check_books(consumer.now, "demand").found
            == 0
        )
        with read_only() as session:
            assert audit.verify(session).intact
        whole = [place for place in found(user) if place.partition(": ")[2] == user and ".id:" not in place]
        assert whole == []
    assert_whole(consumer.app)
