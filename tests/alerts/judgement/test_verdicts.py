import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.definitions.reading import parse
from alerts.judgement.attribution import Attribution, Pairs
from alerts.judgement.evidence import Counts, Evidence, discordant_bet, step
from alerts.judgement.rules import Action, NoData, Rule, bet_of
from alerts.judgement.verdicts import (
    Facts,
    Status,
    Verdict,
    certificate,
    from_json,
    judge,
    to_json,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
ALPHA = 0.002
TEXT = """
alerts:
  credit_consumption_failure: {threshold: 1%, window: 5m, severity: warning}
  api_error_rate: {threshold: 1%, window: 5m, severity: critical}
  database_query_slow: {threshold: 500ms, window: 5m, severity: warning}
  credit_variance: {threshold: 0.1%, window: 5m, severity: critical}
  credit_drift: {threshold: 5%, window: 5m, severity: critical}
"""
FAILURE, ERRORS, SLOW, VARIANCE, DRIFT = parse(TEXT)
CLEAN_LEGACY = Pairs(decided=20, compared=20, v2_only=5, legacy_only=0, legacy_failed=0)


class Guarded:
    """One alert, tick by tick."""

    def __init__(self, rule: Rule = ERRORS, *, exposed: bool = True, alpha: float | None = ALPHA) -> None:
        self.rule, self.exposed, self.alpha = rule, exposed, alpha
        self.evidence, self.verdict, self.at = Evidence(), None, START
        self.pairs: Pairs | None = None

    verdict: Verdict | None

    def tick(self, bad: int = 0, total: int = 0, *, seconds: float = 1, silent_seconds: float = 0) -> Verdict:
        """What is concluded `seconds` later, after `total` more outcomes, the last window's among them."""
        self.at += timedelta(seconds=seconds)
        self.evidence = step(bet_of(self.rule), self.evidence, Counts(bad, total), at=self.at)
        facts = Facts(self.exposed, Counts(bad, total), silent_seconds=silent_seconds, pairs=self.pairs)
        self.verdict = judge(self.rule, self.evidence, facts, alpha=self.alpha, previous=self.verdict, now=self.at)
        return self.verdict


def test_no_failure_is_fine() -> None:
    assert Guarded().tick(0, 20).status is Status.OK


def test_one_failure_in_twenty_is_watched() -> None:
    assert Guarded().tick(1, 20).status is Status.WATCH


def test_three_failures_in_twenty_hold() -> None:
    assert Guarded().tick(3, 20).status is Status.HOLD


def test_five_failures_in_twenty_roll_back() -> None:
    verdict = Guarded().tick(5, 20)

    assert verdict.status is Status.ROLLBACK
    assert verdict.reason == (
        "Over its threshold; whether legacy would do better is not known. Bad were 5 of 20 (25%) in the last 5m and "
        "5 of 20 (25%) since the attempt began; allowed are 1%. Evidence 10^4.0; a rollback takes 10^2.7."
    )


def test_a_smaller_alpha_takes_more_evidence() -> None:
    assert Guarded(alpha=0.01).tick(4, 20).status is Status.ROLLBACK
    assert Guarded(alpha=0.001).tick(4, 20).status is Status.HOLD


def test_a_window_with_nothing_in_it_is_insufficient_and_never_fine() -> None:
    guarded = Guarded()
    assert guarded.tick().status is Status.INSUFFICIENT
    assert guarded.tick(0, 500).status is Status.OK
    assert guarded.tick(seconds=400).status is Status.INSUFFICIENT


def test_a_hold_is_released_after_one_window_of_low_evidence() -> None:
    guarded = Guarded()
    guarded.tick(3, 20)

    assert guarded.tick(0, 100, seconds=10).status is Status.HOLD
    assert guarded.evidence.log_e < 1
    assert guarded.tick(0, 1, seconds=299).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=1).status is Status.OK


def test_a_hold_whose_evidence_rises_again_starts_its_window_anew() -> None:
    guarded = Guarded()
    guarded.tick(3, 20)
    guarded.tick(0, 100, seconds=10)
    guarded.tick(2, 4, seconds=200)
    assert guarded.evidence.log_e > 1.1
    guarded.tick(0, 300, seconds=10)

    assert guarded.tick(0, 1, seconds=290).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=10).status is Status.OK


def test_nothing_exposed_means_nothing_to_roll_back() -> None:
    verdict = Guarded(exposed=False).tick(5, 20)

    assert verdict.status is Status.HOLD
    assert "Nobody is exposed in production, so this holds." in verdict.reason


def test_v2_failing_alone_rolls_back() -> None:
    guarded = Guarded(FAILURE)
    guarded.pairs = CLEAN_LEGACY
    verdict = guarded.tick(5, 20)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.V2_ONLY)


def test_a_total_outage_of_v2_rolls_back_at_the_third_request() -> None:
    guarded = Guarded(FAILURE)
    guarded.pairs = Pairs(decided=3, compared=3, v2_only=3, legacy_only=0, legacy_failed=0)

    assert guarded.tick(3, 3).status is Status.ROLLBACK


@pytest.mark.parametrize(("v2_only", "legacy_only", "legacy_failed"), [(0, 0, 10), (5, 5, 10), (6, 4, 4), (9, 1, 1)])
def test_a_breach_that_legacy_shares_holds(v2_only: int, legacy_only: int, legacy_failed: int) -> None:
    guarded = Guarded(FAILURE)
    guarded.pairs = Pairs(20, 20, v2_only, legacy_only, legacy_failed)
    verdict = guarded.tick(10, 20)

    assert (verdict.status, verdict.attribution) == (Status.HOLD, Attribution.SHARED)
    assert "legacy fails as well" in verdict.reason


def test_v2_failing_far_more_often_than_legacy_is_its_own_fault() -> None:
    guarded = Guarded(FAILURE)
    guarded.pairs = Pairs(100, 100, v2_only=15, legacy_only=1, legacy_failed=2)

    assert guarded.tick(16, 100).attribution is Attribution.V2_ONLY


def test_slow_failures_are_attributed_over_the_whole_attempt() -> None:
    guarded = Guarded(FAILURE)
    bet = discordant_bet(window_seconds=300)
    worse = step(bet, Evidence(), Counts(12, 13), at=START)
    alike = step(bet, Evidence(), Counts(12, 23), at=START)

    guarded.pairs = Pairs(20, 20, v2_only=1, legacy_only=0, legacy_failed=0, discordant=worse)
    assert guarded.tick(13, 300).attribution is Attribution.V2_ONLY
    guarded.pairs = replace(guarded.pairs, discordant=alike)
    assert guarded.tick().attribution is Attribution.SHARED


def test_a_few_slow_failures_are_v2s_while_legacy_has_none() -> None:
    guarded = Guarded(FAILURE)
    alone = step(discordant_bet(window_seconds=300), Evidence(), Counts(6, 6), at=START)
    guarded.pairs = Pairs(20, 20, v2_only=0, legacy_only=0, legacy_failed=0, discordant=alone)

    assert guarded.tick(6, 50).attribution is Attribution.V2_ONLY


def test_background_failures_of_v2_are_not_blamed_for_an_outage_that_both_engines_had() -> None:
    guarded = Guarded(FAILURE)
    background = step(discordant_bet(window_seconds=300), Evidence(), Counts(9, 9), at=START)
    guarded.pairs = Pairs(500, 500, v2_only=1, legacy_only=0, legacy_failed=0, discordant=background)

    assert guarded.tick(109, 1000).attribution is Attribution.SHARED


def test_worse_background_of_v2_does_not_make_a_shared_outage_its_own() -> None:
    guarded = Guarded(FAILURE)
    background = step(discordant_bet(window_seconds=300), Evidence(), Counts(14, 14), at=START)
    guarded.pairs = Pairs(500, 500, v2_only=0, legacy_only=0, legacy_failed=1, discordant=background)

    assert guarded.tick(114, 1000).attribution is Attribution.SHARED


@pytest.mark.parametrize("pairs", [None, replace(CLEAN_LEGACY, compared=17), Pairs(0, 0, 0, 0, 0)])
def test_a_breach_that_was_hardly_compared_is_not_excused(pairs: Pairs | None) -> None:
    guarded = Guarded(FAILURE)
    guarded.pairs = pairs
    verdict = guarded.tick(5, 20)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.UNKNOWN)


def test_a_mismatch_is_always_v2s() -> None:
    verdict = Guarded(VARIANCE).tick(3, 40)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.V2_ONLY)


def test_a_mean_difference_of_a_tenth_is_drift_and_v2s() -> None:
    verdict = Guarded(DRIFT).tick(50, 500)

    assert (verdict.status, verdict.attribution) == (Status.ROLLBACK, Attribution.V2_ONLY)


def test_exposed_but_uncounted_traffic_holds_at_once_and_rolls_back_after_two_windows() -> None:
    guarded = Guarded()
    guarded.tick(0, 500)

    assert guarded.tick(silent_seconds=299).status is Status.INSUFFICIENT
    assert guarded.tick(silent_seconds=300).status is Status.BLIND
    verdict = guarded.tick(silent_seconds=600)
    assert verdict.status is Status.ROLLBACK
    assert verdict.reason.startswith("Users are exposed, but nothing was counted for 10m.")


def test_a_blind_warning_holds_only_and_an_ignoring_alert_does_not_even_that() -> None:
    assert Guarded(SLOW).tick(silent_seconds=6000).status is Status.BLIND
    ignoring = replace(ERRORS, no_data=NoData.IGNORE)
    assert Guarded(ignoring).tick(silent_seconds=6000).status is Status.INSUFFICIENT


def test_being_blind_does_not_forget_a_hold() -> None:
    guarded = Guarded()
    guarded.tick(3, 20)
    guarded.tick(0, 50)
    assert guarded.tick(silent_seconds=300).status is Status.HOLD


@pytest.mark.parametrize(("action", "expected"), [(Action.HOLD, Status.HOLD), (Action.NOTIFY, Status.WATCH)])
def test_an_alert_does_no_more_than_its_action(action: Action, expected: Status) -> None:
    guarded = Guarded(replace(ERRORS, action=action), alpha=None)

    assert guarded.tick(20, 20).status is expected
    assert guarded.tick(silent_seconds=6000).status is expected


def test_a_breach_can_be_waited_out_under_a_hold() -> None:
    guarded = Guarded(replace(ERRORS, for_seconds=60.0))

    assert guarded.tick(5, 20).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=59).status is Status.HOLD
    assert guarded.tick(0, 1, seconds=1).status is Status.ROLLBACK


def test_a_breach_that_passes_is_waited_out_from_the_beginning() -> None:
    guarded = Guarded(replace(ERRORS, for_seconds=60.0))
    guarded.tick(5, 20)
    guarded.tick(0, 500, seconds=50)
    guarded.tick(30, 40, seconds=5)

    assert guarded.tick(seconds=59).status is Status.HOLD
    assert guarded.tick(seconds=1).status is Status.ROLLBACK


def test_a_tripwire_rolls_back_at_the_first_event() -> None:
    tripwire = replace(FAILURE, threshold=0.0, threshold_text="0%")
    guarded = Guarded(tripwire)
    guarded.pairs = Pairs(20, 20, 0, 0, 20)

    assert guarded.tick(0, 10_000).status is Status.OK
    assert guarded.tick(1, 1).status is Status.ROLLBACK


def test_the_certificate_says_how_much_is_missing() -> None:
    guarded = Guarded()
    guarded.tick(0, 20)
    missing = certificate(ERRORS, guarded.evidence)
    guarded.tick(0, 347)
    granted = certificate(ERRORS, guarded.evidence)

    assert (missing.granted, missing.clean_outcomes_needed) == (False, 347)
    assert missing.reason == "Not shown yet to be below 1%: bad were 0 of 20 (0%); 347 more good ones would."
    assert (granted.granted, granted.clean_outcomes_needed) == (True, 0)
    assert granted.reason == "Shown to be below 1%: bad were 0 of 367 (0%)."


def test_a_tripwire_asks_for_no_certificate_it_could_never_get() -> None:
    assert certificate(replace(ERRORS, threshold=0.0), Evidence()).clean_outcomes_needed is None


def test_a_verdict_survives_a_restart() -> None:
    for verdict in (Guarded().tick(5, 20), Guarded(alpha=None).tick()):
        assert from_json(json.loads(json.dumps(to_json(verdict)))) == verdict


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
    guarded = Guarded(replace(ERRORS, action=action), alpha=alpha)
    for bad, good, seconds, exposed, silent_seconds in ticks:
        guarded.exposed = exposed
        verdict = guarded.tick(bad, bad + good, seconds=seconds, silent_seconds=silent_seconds)
        assert isfinite(verdict.evidence_log10)
        assert str(verdict.counts.total)[-3:] in verdict.reason
        if verdict.status is Status.ROLLBACK:
            assert exposed
            assert action is Action.ROLLBACK
            assert guarded.evidence.log_e > 6 or silent_seconds >= 600
        if guarded.evidence.log_e >= 2.4 and action is not Action.NOTIFY:
            assert verdict.status in (Status.HOLD, Status.ROLLBACK)
