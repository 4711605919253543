"""The quick answer is the reasoned one, for any flag and any user."""

import random
from collections import Counter

from flags.evaluation.conditions import encode_context
from flags.evaluation.evaluator import EvaluationContext, evaluate
from flags.evaluation.fast_evaluator import fast_evaluator
from tests.flags.examples import ALICE, ANONYMOUS, EVERYTHING, FLAG, NOW, flag
from tests.properties import rollouts_at_random as at_random

STATES, USERS_PER_STATE = 400, 100


def written(context: EvaluationContext) -> bytes:
    return encode_context(context.user_id, dict(context.properties))


def test_it_answers_as_evaluation_does_for_40_000_flags_and_users() -> None:
    answers = Counter[bool]()
    for seed in range(STATES):
        chance = random.Random(seed)
        plan = at_random.plan(chance)
        people = at_random.users(chance, USERS_PER_STATE, plan)
        asked = at_random.flag(chance, plan, people)
        quick = fast_evaluator(asked, NOW)
        for context in people:
            answer = evaluate(asked, context, NOW).value
            assert quick.evaluate(context.user_id, context.signed_up_at, written(context)) is answer, (seed, context)
            answers[answer] += 1
    assert min(answers.values()) > answers.total() / 4


def test_what_depends_on_no_user_is_settled_beforehand() -> None:
    assert fast_evaluator(flag(), NOW).constant is False
    assert fast_evaluator(flag(exposure=EVERYTHING, latched="Variance."), NOW).constant is False
    assert fast_evaluator(flag(exposure=EVERYTHING, environment_switch=False), NOW).constant is False
    assert fast_evaluator(flag(exposure=EVERYTHING), NOW).constant is None


def test_anonymous_users_follow_the_environment() -> None:
    quick = fast_evaluator(flag(exposure=EVERYTHING), NOW)
    assert quick.key == FLAG
    assert quick.evaluate(ANONYMOUS.user_id, None)
    assert quick.evaluate(ALICE.user_id, ALICE.signed_up_at)
