import json
from dataclasses import replace
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.analysis.attribution import Pairs
from alerts.analysis.rules import Action, NoData, Per
from alerts.analysis.verdicts import Status, from_json, to_json
from alerts.definitions.parser import parse
from tests.alerts.analysis.guarded_flag import ALPHA, FAILURE, SLOW, GuardedFlag


def test_no_failure_is_fine() -> None:
    assert GuardedFlag().tick(0, 20).status is Status.OK


def test_one_failure_in_twenty_is_watched() -> None:
    assert GuardedFlag().tick(1, 20).status is Status.WATCH


def test_three_failures_in_twenty_hold() -> None:
    assert GuardedFlag().tick(3, 20).status is Status.HOLD


def test_five_failures_in_twenty_roll_back() -> None:
    verdict = GuardedFlag().tick(5, 20)

    assert verdict.status is Status.ROLLBACK
    assert verdict.reason == (
        "Over its threshold; whether legacy would do better is not known. 5 of 20 (25%) were bad in the last 5m, and "
        "5 of 20 (25%) since the attempt began; 1% is allowed. "
        "Chance alone gets this far in at most 1 of 10,000 attempts; a rollback takes 1 of 500."
    )


def test_the_alert_of_a_flag_without_a_migration_names_no_engine() -> None:
    (tickets,) = parse(
        "alerts: {tickets: {metric: tickets, flag: SEARCH, threshold: 1%, window: 5m, severity: critical}}"
    )
    assert (
        GuardedFlag(tickets).tick(5, 20).cause
        == "Over its threshold; whether the old version would do better is not known."
    )


def test_a_smaller_alpha_takes_more_evidence() -> None:
    assert GuardedFlag(alpha=0.01).tick(4, 20).status is Status.ROLLBACK
    assert GuardedFlag(alpha=0.001).tick(4, 20).status is Status.HOLD


def test_a_window_with_nothing_in_it_is_insufficient_and_never_fine() -> None:
    guarded = GuardedFlag()
    empty = guarded.tick()
    assert (empty.status, empty.reason) == (Status.INSUFFICIENT, "Nothing happened in the last 5m.")
    assert guarded.tick(0, 500).status is Status.OK
    assert guarded.tick(seconds=400).status is Status.INSUFFICIENT


def test_a_hold_is_released_after_one_window_of_low_evidence() -> None:
    guarded = GuardedFlag()
    guarded.tick(3, 20)

    assert guarded.tick(0, 100, seconds=10).status is Status.HOLD
    assert guarded.evidence.log_e < 1
    assert guarded.tick(0, 1, seconds=299).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=1).status is Status.OK


def test_a_hold_whose_evidence_rises_again_starts_its_window_anew() -> None:
    guarded = GuardedFlag()
    guarded.tick(3, 20)
    guarded.tick(0, 100, seconds=10)
    guarded.tick(2, 4, seconds=200)
    assert guarded.evidence.log_e > 1.1
    guarded.tick(0, 300, seconds=10)

    assert guarded.tick(0, 1, seconds=290).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=10).status is Status.OK


def test_nothing_exposed_means_nothing_to_roll_back() -> None:
    verdict = GuardedFlag(exposed=False).tick(5, 20)

    assert verdict.status is Status.HOLD
    assert "Nobody is exposed in production, so this holds." in verdict.reason


def test_exposed_but_uncounted_traffic_holds_at_once_and_rolls_back_after_two_windows() -> None:
    guarded = GuardedFlag()
    guarded.tick(0, 500)

    assert guarded.tick(gap_seconds=299).status is Status.INSUFFICIENT
    assert guarded.tick(gap_seconds=300).status is Status.BLIND
    verdict = guarded.tick(gap_seconds=600)
    assert verdict.status is Status.ROLLBACK
    assert verdict.reason.startswith("Users are exposed, but nothing was counted for 10m.")


def test_a_blind_warning_holds_only_and_an_ignoring_alert_does_not_even_that() -> None:
    assert GuardedFlag(SLOW).tick(gap_seconds=6000).status is Status.BLIND
    ignoring = replace(FAILURE, no_data=NoData.IGNORE)
    assert GuardedFlag(ignoring).tick(gap_seconds=6000).status is Status.INSUFFICIENT


def test_being_blind_does_not_forget_a_hold() -> None:
    guarded = GuardedFlag()
    guarded.tick(3, 20)
    guarded.tick(0, 50)
    assert guarded.tick(gap_seconds=300).status is Status.HOLD


@pytest.mark.parametrize(("action", "expected"), [(Action.HOLD, Status.HOLD), (Action.NOTIFY, Status.WATCH)])
def test_an_alert_does_no_more_than_its_action(action: Action, expected: Status) -> None:
    guarded = GuardedFlag(replace(FAILURE, action=action), alpha=None)

    assert guarded.tick(20, 20).status is expected
    assert guarded.tick(gap_seconds=6000).status is expected


def test_a_breach_can_be_waited_out_under_a_hold() -> None:
    guarded = GuardedFlag(replace(FAILURE, for_seconds=60.0))

    assert guarded.tick(5, 20).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=59).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=1).status is Status.ROLLBACK


def test_a_breach_that_passes_is_waited_out_from_the_beginning() -> None:
    guarded = GuardedFlag(replace(FAILURE, for_seconds=60.0))
    guarded.tick(5, 20)
    guarded.tick(0, 500, seconds=50)
    guarded.tick(30, 40, seconds=5)

    assert guarded.tick(seconds=59).status is Status.HOLD
    assert guarded.tick(seconds=1).status is Status.ROLLBACK


def test_a_tripwire_rolls_back_at_the_first_event() -> None:
    tripwire = replace(FAILURE, threshold=0.0, threshold_text="0%")
    guarded = GuardedFlag(tripwire)
    guarded.pairs = Pairs(20, 20, 0, 0, 20)

    assert guarded.tick(0, 10_000).status is Status.OK
    assert guarded.tick(1, 1).status is Status.ROLLBACK


def test_a_verdict_survives_a_restart() -> None:
    for verdict in (GuardedFlag().tick(5, 20), GuardedFlag(alpha=None).tick()):
        assert from_json(json.loads(json.dumps(to_json(verdict)))) == verdict


def test_a_worker_of_the_version_before_reads_a_verdict_of_operations_and_a_later_one_may_say_more() -> None:
    verdict = GuardedFlag().tick(5, 20)
    by_account = GuardedFlag(replace(FAILURE, per=Per.ACCOUNT)).tick(5, 20)

    assert "per" not in to_json(verdict)
    assert from_json(to_json(by_account)).per is Per.ACCOUNT
    assert from_json(to_json(by_account) | {"of_a_later_release": 1}) == by_account


@given(
    ticks=st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 3000), st.integers(0, 700), st.booleans(), st.integers(0, 700)),
        max_size=30,
    ),
    action=st.sampled_from(Action),
)
def test_whatever_is_counted_the_verdict_keeps_its_promises(
    ticks: list[tuple[int, int, int, bool, int]], action: Action
) -> None:
    alpha = ALPHA if action is Action.ROLLBACK else None
    guarded = GuardedFlag(replace(FAILURE, action=action), alpha=alpha)
    for bad, good, seconds, exposed, gap_seconds in ticks:
        guarded.exposed = exposed
        verdict = guarded.tick(bad, bad + good, seconds=seconds, gap_seconds=gap_seconds)
        assert isfinite(verdict.evidence_log10)
        assert not verdict.counts.total or str(verdict.counts.total)[-3:] in verdict.reason
        if verdict.status is Status.ROLLBACK:
            assert exposed
            assert action is Action.ROLLBACK
            assert guarded.evidence.log_e > 6 or gap_seconds >= 600
        if guarded.evidence.log_e >= 2.4 and action is not Action.NOTIFY:
            assert verdict.status in (Status.HOLD, Status.ROLLBACK)
