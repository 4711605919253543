import json
import random
from datetime import UTC, datetime, timedelta

from control_plane.audiences.constraint import Constraint, Operator, contains
from flags.evaluation.conditions import encode_context, membership
from flags.evaluation.timestamps import format_timestamp
from tests.properties import rollouts_at_random as at_random

INSTANT = datetime(2026, 3, 9, 10, 0, 0, 50_000, UTC)


def meets(constraint: Constraint, **properties: str) -> bool:
    return membership((constraint,))(encode_context("ada", properties))


def test_whoever_meets_the_narrower_conditions_meets_those_that_are_said_to_be_wider() -> None:
    chance, proved, inside = random.Random(7), 0, 0
    contexts = [encode_context("ada", at_random.properties(chance)) for _ in range(300)]
    for _ in range(15_000):
        wider, narrower = at_random.constraints(chance), at_random.constraints(chance)
        if wider != narrower and contains(wider, narrower):
            proved += 1
            members = [context for context in contexts if membership(narrower)(context)]
            inside += len(members)
            assert all(membership(wider)(context) for context in members), (wider, narrower)
    assert proved > 100
    assert inside > 1000


def test_dates_are_compared_to_the_millisecond_in_the_one_spelling() -> None:
    after = Constraint("since", Operator.DATE_AFTER, (INSTANT.isoformat(),))
    before = Constraint("since", Operator.DATE_BEFORE, (INSTANT.isoformat(),))
    for milliseconds in (*range(-70, 70), -(10**10), 10**10):
        since = format_timestamp(INSTANT + timedelta(milliseconds=milliseconds))
        assert (meets(after, since=since), meets(before, since=since)) == (milliseconds > 0, milliseconds < 0), since
    assert not meets(after, since="2027-01-01")
    assert not meets(before)


def test_who_has_no_such_attribute_meets_only_what_excludes() -> None:
    assert not meets(Constraint("plan", Operator.IN, ("pro",)))
    assert meets(Constraint("plan", Operator.NOT_IN, ("pro",)))


def test_a_context_is_written_as_the_engine_reads_it() -> None:
    assert json.loads(encode_context("ada", {"plan": "pro"})) == {"userId": "ada", "properties": {"plan": "pro"}}
    assert meets(Constraint("plan", Operator.IN, ("pro\u00df",)), plan="pro\u00df")
    assert membership((Constraint("userId", Operator.IN, ("ada",)),))(encode_context("ada", {}))
