"""Which fields of a context decide about flags."""

from typing import Any

import pytest

from flags.unleash.context_fields import context_fields


def feature(name: str, *strategies: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": name, "strategies": list(strategies), **fields}


def constraint(name: str, operator: str) -> dict[str, str]:
    return {"contextName": name, "operator": operator}


def test_a_field_is_told_with_how_it_is_compared_and_who_goes_by_it() -> None:
    segment = {"id": 3, "constraints": [constraint("plan", "IN"), constraint("country", "NOT_IN")]}
    by_segment = feature("b", {"name": "default", "segments": [3, 4]})
    alone = feature("a", {"name": "default", "constraints": [constraint("plan", "STR_CONTAINS")]})
    country, plan = context_fields([by_segment, alone], [segment])
    assert plan.to_json() == {
        "name": "plan",
        "operators": ["IN", "STR_CONTAINS"],
        "stickiness": False,
        "flags": ["a", "b"],
        "segments": [3],
    }
    assert (country.operators, country.flags, country.segments) == ({"NOT_IN"}, {"b"}, {3})


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (feature("f", {"name": "userWithId", "parameters": {"userIds": "7"}}), [("userId", False)]),
        (feature("f", {"name": "gradualRolloutSessionId", "parameters": {"percentage": "5"}}), [("sessionId", False)]),
        (feature("f", {"name": "remoteAddress", "parameters": {"IPs": ""}}), [("remoteAddress", False)]),
        (feature("f", {"name": "flexibleRollout", "parameters": {"rollout": "5"}}), [("userId", True)]),
        (feature("f", {"name": "flexibleRollout", "parameters": {"rollout": "5", "stickiness": "random"}}), []),
        (feature("f", {"name": "default", "variants": [{"stickiness": "tenant"}]}), [("tenant", True)]),
        (feature("f", {"name": "default"}, variants=[{"stickiness": "default"}]), [("userId", True)]),
        (
            feature("f", {"name": "default"}, variants=[{"overrides": [{"contextName": "email"}]}]),
            [("email", False), ("userId", True)],
        ),
        (feature("f", {"name": "default"}), []),
    ],
)
def test_what_a_strategy_or_a_variant_goes_by_is_a_field_too(
    wire: dict[str, Any], expected: list[tuple[str, bool]]
) -> None:
    assert [(each.name, each.is_stickiness) for each in context_fields([wire], [])] == expected
