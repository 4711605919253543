"""One leader at a time, each with a higher term, and a guard's heartbeat that an older term can't renew."""

import threading
from datetime import datetime, timedelta

from flask import Flask

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed, leases


def hold(holder: str, at: datetime) -> int | None:
    with transaction() as session:
        return leases.acquire(session, "leader", holder, now=at, ttl_seconds=5)


def test_the_lead_passes_on_when_it_expires_or_is_given_up(app: Flask, now: datetime) -> None:
    with app.app_context():
        assert hold("a", now) == 1
        assert hold("b", now + timedelta(seconds=4)) is None
        assert hold("a", now + timedelta(seconds=4)) == 1
        assert hold("b", now + timedelta(seconds=8)) is None
        assert hold("b", now + timedelta(seconds=9)) == 2
        with transaction() as session:
            leases.release(session, "leader", "b", now=now + timedelta(seconds=10))
        assert hold("a", now + timedelta(seconds=10)) == 3


def test_of_many_who_reach_for_the_lead_one_gets_it(app: Flask, now: datetime) -> None:
    terms: list[int | None] = []
    barrier = threading.Barrier(8)

    def reach(name: str) -> None:
        with app.app_context():
            barrier.wait()
            terms.append(hold(name, now))

    threads = [threading.Thread(target=reach, args=[f"p{number}"]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(terms, key=str) == [1] + [None] * 7


def beat(term: int, at: datetime) -> int | None:
    with transaction() as session:
        return leases.heartbeat(session, now=at, term=term, ttl_seconds=30)


def test_a_heartbeat_tells_the_newest_change(app: Flask, now: datetime) -> None:
    with app.app_context():
        assert beat(1, now) == 0
        with transaction() as session:
            revision = change_feed.publish(session, "rollout", "A_FLAG", now=now)
        assert beat(1, now + timedelta(seconds=1)) == revision > 0


def test_an_older_term_can_not_renew_the_guard(app: Flask, now: datetime) -> None:
    with app.app_context():
        assert beat(2, now) is not None
        assert beat(1, now + timedelta(seconds=20)) is None
        assert beat(3, now + timedelta(seconds=10)) is not None
        with read_only() as session:
            assert leases.guard_expires_at(session) == now + timedelta(seconds=40)
