from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction
from credits_engine.billing.inbox.worker import ATTEMPTS_MAX, LEASE, Worker
from credits_engine.billing.models import ATTEMPTS, EVENTS
from credits_engine.billing.store import inbox
from credits_engine.billing.store.inbox import Claim, Outcome, State
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.guard_counts import failures
from tests.credits_engine.billing.stories import a_subscriber
from tests.credits_engine.billing.virtual_stripe import START

MINUTE = timedelta(minutes=1)


class Killed(BaseException):
    """A stand-in for SIGKILL: nothing catches it and nothing is cleaned up after it."""


def breaking(monkeypatch: pytest.MonkeyPatch, error: BaseException, *, times: int = 1_000_000) -> None:
    """Let applying fail after its effects were written and before they are committed."""
    real = inbox.finish
    left = iter(range(times))

    def finish(session: Session, claim: Claim, outcome: Outcome, *, now: datetime) -> bool:
        if outcome.state is not State.DEAD and next(left, None) is not None:
            raise error
        return real(session, claim, outcome, now=now)

    monkeypatch.setattr(inbox, "finish", finish)


def test_a_worker_killed_between_effect_and_end_leaves_nothing_behind(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing.deliver(*a_subscriber())
    before = billing.final_state()
    with monkeypatch.context() as patch:
        breaking(patch, Killed())
        with pytest.raises(Killed):
            billing.work()
    assert billing.final_state() == before
    billing.work(at=billing.now + LEASE)
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert billing.user("ada") == ("pro", START)


def test_a_failure_is_tried_again_with_growing_pauses_and_then_set_aside(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing.deliver(a_subscriber()[-1])
    breaking(monkeypatch, RuntimeError("a defect of ours"))
    pauses = []
    for _ in range(ATTEMPTS_MAX):
        billing.work()
        next_at = next(iter(billing.rows(EVENTS)))["next_at"]
        pauses.append((next_at - billing.now).total_seconds())
        billing.now = next_at
    assert pauses[:4] == [0.75, 1.5, 3.0, 6.0]
    assert pauses == [*sorted(pauses[:-1]), 0.0]
    (row,) = billing.rows(EVENTS)
    assert (row["state"], row["attempts"]) == ("dead", ATTEMPTS_MAX)
    assert row["reason"] == "RuntimeError: a defect of ours"
    assert [each["number"] for each in billing.rows(ATTEMPTS)] == list(range(1, ATTEMPTS_MAX + 1))
    assert failures(billing) == (1, 1)


def test_the_pause_has_a_random_half_and_an_end() -> None:
    assert Worker("w", lambda: START, chance=lambda: 0.0)._backoff(9) == 128.0
    assert Worker("w", lambda: START, chance=lambda: 1.0)._backoff(9) == 256.0
    assert Worker("w", lambda: START, chance=lambda: 1.0)._backoff(40) == 3600.0


def test_an_outage_of_the_database_counts_for_nothing(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    billing.deliver(a_subscriber()[-1])
    with monkeypatch.context() as patch:
        breaking(patch, OperationalError("", {}, Exception("gone")))
        for _ in range(3 * ATTEMPTS_MAX):
            billing.work(at=billing.now + MINUTE)
    assert list(billing.states().values()) == ["new"]
    billing.work(at=billing.now + MINUTE)
    assert list(billing.states().values()) == ["applied"]
    assert failures(billing) == (0, 1)


def test_an_event_that_takes_its_worker_along_every_time_is_given_up(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing.deliver(a_subscriber()[-1])
    with monkeypatch.context() as patch:
        breaking(patch, Killed())
        for _ in range(ATTEMPTS_MAX):
            with pytest.raises(Killed):
                billing.work(at=billing.now + LEASE)
    billing.work(at=billing.now + LEASE)
    (row,) = billing.rows(EVENTS)
    assert (row["state"], row["reason"]) == ("dead", f"Given up: {ATTEMPTS_MAX} attempts ended with their worker.")


def test_a_replay_gets_one_attempt_and_then_stays_where_it_was(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = a_subscriber()[-1]
    billing.deliver(event)
    with monkeypatch.context() as patch:
        breaking(patch, RuntimeError("a defect of ours"))
        while billing.event(event["id"])["state"] != "dead":
            billing.work(at=billing.now + timedelta(hours=1))
        with transaction() as session:
            assert inbox.replay(session, event["id"], now=billing.now, attempts=ATTEMPTS_MAX - 1)
        billing.work()
        assert billing.event(event["id"])["state"] == "dead"
    with transaction() as session:
        assert inbox.replay(session, event["id"], now=billing.now, attempts=ATTEMPTS_MAX - 1)
    billing.work()
    assert billing.event(event["id"])["state"] == "applied"
    assert failures(billing) == (1, 1)
