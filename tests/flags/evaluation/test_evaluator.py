from datetime import UTC, datetime, timedelta, timezone

import pytest

from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.exposure import Exposure, Share
from flags.evaluation.evaluator import (
    EvaluationContext,
    Override,
    Reason,
    ReasonCode,
    Rule,
    RuleOutcome,
    describe,
    evaluate,
)
from tests.flags.examples import (
    ALICE,
    ANONYMOUS,
    CUTOVER,
    EVERYTHING,
    EXPIRED,
    NAMED,
    NOW,
    SECOND,
    flag,
    user_in_bucket,
)

MILLISECOND = timedelta(milliseconds=1)
PRO = (Constraint("plan", Operator.IN, ("pro",)),)
NEW_SIGNUPS = Exposure(allowlist=True, new_signups_percentage=25)


def test_before_the_first_phase_production_answers_off() -> None:
    answer = evaluate(flag(), ALICE, NOW)
    assert (answer.value, answer.variant, answer.reason, answer.phase) == (False, "off", Reason.DEFAULT, None)
    assert answer.detail is ReasonCode.DEFAULT_OFF


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_the_environment_variable_off_beats_everything(environment: str) -> None:
    exposed = flag(environment=environment, environment_switch=False, exposure=EVERYTHING, allowed={"alice": NAMED})
    answer = evaluate(exposed, ALICE, NOW)
    assert (answer.value, answer.reason, len(answer.trace)) == (False, Reason.DISABLED, 1)


def test_the_environment_variable_on_wins_outside_production_even_over_a_rollback_and_a_denial() -> None:
    latched = flag(environment="staging", environment_switch=True, latched="defects", denied={"alice": NAMED})
    assert evaluate(latched, ALICE, NOW).detail is ReasonCode.SWITCH_ON


def test_production_ignores_the_environment_variable_on_and_says_so() -> None:
    answer = evaluate(flag(environment_switch=True), ALICE, NOW)
    assert not answer.value
    assert answer.trace[0].outcome is RuleOutcome.MATCHED
    assert "ignores" in describe(answer.trace[0])


def test_a_rollback_takes_the_flag_from_everybody_and_gives_its_reason() -> None:
    answer = evaluate(flag(latched="Variance above 5 %.", exposure=EVERYTHING, allowed={"alice": NAMED}), ALICE, NOW)
    assert (answer.value, answer.detail) == (False, ReasonCode.ROLLED_BACK)
    assert answer.sentence == "The rollout is rolled back: Variance above 5 %."


@pytest.mark.parametrize(("lease", "value"), [(NOW + SECOND, True), (NOW, False), (NOW - SECOND, False), (None, True)])
def test_exposure_ends_at_the_instant_the_guard_lease_does(lease: datetime | None, value: bool) -> None:
    answer = evaluate(flag(guard_expires_at=lease, exposure=EVERYTHING), ALICE, NOW)
    assert answer.value is value
    assert (answer.detail is ReasonCode.GUARD_LEASE_EXPIRED) is not value


def test_a_denial_beats_an_allowance_and_every_phase() -> None:
    answer = evaluate(flag(denied={"alice": NAMED}, allowed={"alice": NAMED}, exposure=EVERYTHING), ALICE, NOW)
    assert (answer.value, answer.reason, answer.detail) == (False, Reason.TARGETING_MATCH, ReasonCode.DENIED)
    assert answer.sentence == "This user is kept out by name: asked for by support"


def test_an_allowance_lets_in_before_any_phase_does() -> None:
    answer = evaluate(flag(allowed={"alice": Override("a demo", NOW + SECOND)}), ALICE, NOW)
    assert (answer.value, answer.phase) == (True, None)
    assert answer.sentence == "This user is let in by name until 2026-08-01 12:00:01 UTC: a demo"


def test_expired_overrides_stop_by_themselves_and_are_still_told() -> None:
    answer = evaluate(flag(denied={"alice": EXPIRED}, allowed={"alice": EXPIRED}), ALICE, NOW)
    assert answer.detail is ReasonCode.DEFAULT_OFF
    told = {step.rule: step.detail for step in answer.trace if step.outcome is RuleOutcome.MATCHED}
    assert told == {Rule.DENIED: ReasonCode.DENIAL_EXPIRED, Rule.ALLOWED: ReasonCode.ALLOWANCE_EXPIRED}


def test_an_environment_that_is_on_is_on_for_anonymous_users_too() -> None:
    answer = evaluate(flag(environment="staging", exposure=Exposure(environment=True)), ANONYMOUS, NOW)
    assert (answer.value, answer.reason, answer.phase) == (True, Reason.STATIC, "the environments phase")


@pytest.mark.parametrize("context", [ANONYMOUS, EvaluationContext("")])
def test_an_anonymous_user_gets_the_default_even_when_everyone_is_in(context: EvaluationContext) -> None:
    answer = evaluate(flag(exposure=Exposure(everyone_percentage=100), beta={""}, allowed={"": NAMED}), context, NOW)
    assert (answer.value, answer.detail, answer.bucket) == (False, ReasonCode.ANONYMOUS, None)


def test_beta_members_wait_for_the_beta_and_are_let_in_by_its_phase() -> None:
    waiting = evaluate(flag(beta={"alice"}), ALICE, NOW)
    assert (waiting.value, waiting.trace[6].detail) == (False, ReasonCode.BETA_WAITING)
    inside = evaluate(flag(beta={"alice"}, exposure=Exposure(allowlist=True)), ALICE, NOW)
    assert (inside.value, inside.phase) == (True, "the allowlist phase")


@pytest.mark.parametrize(
    ("signed_up_at", "detail"),
    [
        (None, ReasonCode.SIGNUP_DATE_MISSING),
        (CUTOVER - SECOND, ReasonCode.NOT_NEW_SIGNUP),
        (CUTOVER, ReasonCode.NOT_NEW_SIGNUP),
        (CUTOVER + MILLISECOND / 2, ReasonCode.NOT_NEW_SIGNUP),
        (CUTOVER + MILLISECOND, ReasonCode.NEW_SIGNUP_INSIDE),
        ((CUTOVER + SECOND).astimezone(timezone(timedelta(hours=-7))), ReasonCode.NEW_SIGNUP_INSIDE),
        (datetime.min.replace(tzinfo=UTC), ReasonCode.NOT_NEW_SIGNUP),
        (datetime.max.replace(tzinfo=UTC), ReasonCode.NEW_SIGNUP_INSIDE),
    ],
)
def test_a_new_signup_is_strictly_after_the_cut_over_in_whole_milliseconds(
    signed_up_at: datetime | None, detail: ReasonCode
) -> None:
    answer = evaluate(flag(exposure=NEW_SIGNUPS), EvaluationContext(user_in_bucket(25), signed_up_at), NOW)
    assert answer.trace[7].detail is detail
    assert answer.value is (detail is ReasonCode.NEW_SIGNUP_INSIDE)


def test_a_cut_over_within_a_millisecond_counts_from_the_next_one() -> None:
    midway = flag(exposure=NEW_SIGNUPS, new_signups_after=CUTOVER + MILLISECOND / 2)
    newcomer = EvaluationContext(user_in_bucket(1), CUTOVER + MILLISECOND)
    assert evaluate(midway, newcomer, NOW).value


def test_a_bucket_is_in_up_to_and_including_the_percentage() -> None:
    exposure = Exposure(everyone_percentage=10)
    inside, outside = (evaluate(flag(exposure=exposure), EvaluationContext(user_in_bucket(n)), NOW) for n in (10, 11))
    assert (inside.value, inside.reason, inside.bucket, inside.phase) == (True, Reason.SPLIT, 10, "the everyone phase")
    assert inside.sentence == "Bucket 10 is within 10 % of everyone."
    assert (outside.value, outside.trace[8].detail, outside.bucket) == (False, ReasonCode.EVERYONE_WAITING, 11)


def test_a_full_percentage_is_no_longer_a_split() -> None:
    assert evaluate(flag(exposure=EVERYTHING), ALICE, NOW).reason is Reason.STATIC
    everyone = Exposure(new_signups_percentage=100, everyone_percentage=100)
    assert evaluate(flag(exposure=everyone), ALICE, NOW).reason is Reason.STATIC
    newcomer = EvaluationContext("bob", NOW)
    assert evaluate(flag(exposure=everyone), newcomer, NOW).reason is Reason.TARGETING_MATCH


def test_a_phase_without_a_name_is_reported_as_none() -> None:
    assert evaluate(flag(exposure=EVERYTHING, phase_names={}), ALICE, NOW).phase is None


def test_the_trace_has_one_step_per_rule_in_order_and_only_the_last_decided() -> None:
    exposure = Exposure(allowlist=True, everyone_percentage=1, shares=(Share("attributes", PRO, 100),))
    answer = evaluate(flag(exposure=exposure), ALICE, NOW)
    assert [step.rule for step in answer.trace] == list(Rule)
    decided = [step.outcome is RuleOutcome.DECIDED for step in answer.trace]
    assert decided == [False] * (len(Rule) - 1) + [True]


def test_half_a_surrogate_pair_is_evaluated_like_any_user() -> None:
    assert evaluate(flag(exposure=Exposure(everyone_percentage=100)), EvaluationContext("\ud800"), NOW).value
