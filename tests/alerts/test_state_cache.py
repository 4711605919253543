"""What the leader remembers between ticks is what is stored, whatever becomes of a tick."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask, current_app
from sqlalchemy import delete, func, select, update

from alerts import guard, state_cache, store
from alerts.definitions import rules_file
from alerts.guard_job import run_guard
from alerts.models import AlertState
from alerts.overrides.approval import OverrideRequest, end, grant
from alerts.store import AlertMemory
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import ChangeRow, SignalTotal
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.runtime import change_feed
from tests.alerts.conftest import StoredRollout
from tests.credit_signals import FAILURE

SECOND = timedelta(seconds=1)
TICKS = 40


@pytest.fixture(autouse=True)
def exposed(app: Flask, stored_rollout: StoredRollout) -> Iterator[None]:
    """A rollout at 10 % of everyone, judged once."""
    with app.app_context():
        run_guard(stored_rollout.now, 1)
        yield


@pytest.fixture
def judgements(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return a list that gets the time of each judgement of the rollout from now on."""
    times, judge = list[datetime](), guard._judge_rollout

    def note(*arguments: Any, now: datetime, **options: Any) -> Any:
        times.append(now)
        return judge(*arguments, now=now, **options)

    monkeypatch.setattr(guard, "_judge_rollout", note)
    return times


class StoppedError(Exception):
    """The process died before the commit."""


def remembered(stored_rollout: StoredRollout, *, term: int) -> dict[tuple[str, str], AlertMemory]:
    with read_only() as session:
        return dict(state_cache.load(session, stored_rollout.rollout, term=term))


def stored(stored_rollout: StoredRollout) -> dict[tuple[str, str], AlertMemory]:
    with read_only() as session:
        return store.memories(session, FLAG, attempt=stored_rollout.rollout.attempt)


def outcomes(chance: random.Random) -> None:
    """Now and then something happens, mostly well."""
    for number in range(chance.randrange(4)):
        bad = chance.random() < 0.02
        signals.record(Sample(FAILURE, bad=bad, engine="v2", account=f"u{number}" if bad else None))


def broken_tick(now: datetime, *, term: int) -> None:
    with pytest.raises(StoppedError):
        stop_before_commit(now, term=term)


def stop_before_commit(now: datetime, *, term: int) -> None:
    with transaction() as session:
        signals.write(session, now)
        guard.tick(session, rules_file.current().rules, now=now, term=term, lease_seconds=30)
        raise StoppedError


@pytest.mark.parametrize("seed", range(3))
def test_after_any_ticks_it_remembers_what_is_stored(stored_rollout: StoredRollout, seed: int) -> None:
    chance, now, term = random.Random(seed), stored_rollout.now, 1
    for _ in range(TICKS):
        now += SECOND
        outcomes(chance)
        match chance.randrange(8):
            case 0:
                broken_tick(now, term=term)
            case 1:
                term += 1
                run_guard(now, term)
            case 2:
                state_cache.CACHED_STATE.set(current_app, None)
                run_guard(now, term)
            case _:
                run_guard(now, term)
        assert remembered(stored_rollout, term=term) == stored(stored_rollout)


def test_a_tick_that_was_not_committed_leaves_nothing_behind(stored_rollout: StoredRollout) -> None:
    signals.record(*[Sample(FAILURE, bad=False, engine="v2")] * 9)
    before = stored(stored_rollout)
    broken_tick(stored_rollout.now + SECOND, term=1)
    assert remembered(stored_rollout, term=1) == stored(stored_rollout) == before
    run_guard(stored_rollout.now + 2 * SECOND, 1)
    [failure] = [memory for (alert, _), memory in stored(stored_rollout).items() if alert == FAILURE]
    assert failure.evidence.total == 9, "what was counted is judged once, by the next tick"


def test_what_another_leader_wrote_is_read_when_this_one_leads_again(stored_rollout: StoredRollout) -> None:
    run_guard(stored_rollout.now + SECOND, 1)
    ours = state_cache.CACHED_STATE.get()
    state_cache.CACHED_STATE.set(current_app, None)
    signals.record(*[Sample(FAILURE, bad=False, engine="v2")] * 5)
    run_guard(stored_rollout.now + 2 * SECOND, 2)
    state_cache.CACHED_STATE.set(current_app, ours)
    assert remembered(stored_rollout, term=3) == stored(stored_rollout)


def test_an_override_is_in_force_from_the_next_tick_until_it_runs_out_or_is_ended(
    stored_rollout: StoredRollout,
) -> None:
    def in_force(now: datetime) -> set[str]:
        with transaction() as session:
            decided = state_cache.active_decisions(session, now=now, term=1, revision=change_feed.revision(session))
            return decided.overridden(stored_rollout.rollout, now)

    now, wish = stored_rollout.now + SECOND, OverrideRequest(FLAG, FAILURE, 10, "A known fault of the network.")
    assert in_force(now) == set()
    with transaction() as session:
        grant(session, rules_file.current().rules, wish, now=now, actor="olga")
    assert in_force(now + SECOND) == {FAILURE}
    assert in_force(now + timedelta(minutes=10)) == set()
    with transaction() as session:
        end(session, FLAG, FAILURE, now=now + SECOND, actor="olga", reason="It is mended.")
    assert in_force(now + 2 * SECOND) == set()


def test_a_backup_that_was_put_back_is_not_judged_by_what_came_after_it(stored_rollout: StoredRollout) -> None:
    with transaction() as session:
        before = session.scalar(select(func.max(ChangeRow.id))) or 0
        change_feed.publish(session, "test", "x", now=stored_rollout.now)
    for number in range(6):
        signals.record(Sample(FAILURE, bad=True, engine="v2", account=f"u{number}"))
    run_guard(stored_rollout.now + SECOND, 1)
    with transaction() as session:
        session.execute(delete(ChangeRow).where(ChangeRow.id > before))
        session.execute(delete(AlertState))
        session.execute(update(SignalTotal).values(bad=0, total=0))
    run_guard(stored_rollout.now + 2 * SECOND, 1)
    assert remembered(stored_rollout, term=1).keys() == stored(stored_rollout).keys()
    assert all(memory.evidence.bad == 0 for memory in remembered(stored_rollout, term=1).values())


def test_a_second_without_news_is_not_judged_and_the_fifth_is(
    stored_rollout: StoredRollout, judgements: list[datetime]
) -> None:
    quiet = [stored_rollout.now + number * SECOND for number in range(1, 12)]
    for now in quiet:
        run_guard(now, 1)
    assert judgements == [quiet[0], quiet[5], quiet[10]], "the first one, because the tick before it changed something"


def test_what_is_news_is_judged_in_its_second(stored_rollout: StoredRollout, judgements: list[datetime]) -> None:
    signals.record(Sample(FAILURE, bad=False, engine="v2"))
    counted, announced, stopped, again = (stored_rollout.now + number * SECOND for number in (1, 2, 3, 4))
    run_guard(counted, 1)
    with transaction() as session:
        change_feed.publish(session, "rollout", FLAG, now=stored_rollout.now)
    run_guard(announced, 1)
    signals.record(Sample(FAILURE, bad=False, engine="v2"))
    broken_tick(stopped, term=1)
    run_guard(again, 1)
    assert judgements == [counted, announced, stopped, again], "a tick that was not committed has judged nothing"
