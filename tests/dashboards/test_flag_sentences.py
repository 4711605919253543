"""Who has a flag, in sentences."""

from typing import Any

import pytest

from dashboards.flag_sentences import strategy_sentence, variant_views
from flags.unleash.canonical.strategies import NOBODY, PARAMETERS

SEGMENTS = {3: "Beta testers"}


def strategy(name: str, **parameters: str) -> dict[str, Any]:
    return {"name": name, "parameters": parameters, "constraints": [], "segments": [], "variants": []}


@pytest.mark.parametrize(
    ("wire", "sentence"),
    [
        (strategy("default"), "Everybody."),
        (strategy("flexibleRollout", rollout="25", stickiness="default"), "25 % by userId."),
        (strategy("flexibleRollout", rollout="25", stickiness="random"), "25 % of requests, at random."),
        (strategy("flexibleRollout", rollout="5", stickiness="tenant"), "5 % by tenant."),
        (strategy("gradualRolloutUserId", percentage="40"), "40 % by userId."),
        (strategy("gradualRolloutSessionId", percentage="40"), "40 % by sessionId."),
        (strategy("gradualRolloutRandom", percentage="40"), "40 % of requests, at random."),
        (strategy("userWithId", userIds="1,2,3,4,5,6,7"), "Users 1, 2, 3, 4, 5 and 2 more."),
        (strategy("userWithId", userIds=""), "Nobody."),
        (strategy("remoteAddress", IPs="10.0.0.0/8"), "Requests from 10.0.0.0/8."),
        (strategy("applicationHostname", hostNames="a"), "Servers called a."),
        (strategy("default") | {"segments": [3, 9]}, "Everybody, if in segment “Beta testers” and in segment “9”."),
        (NOBODY, "Everybody, if userId is one of nothing."),
        (
            strategy("default") | {"variants": [{"name": "a", "weight": 250}, {"name": "b", "weight": 750}]},
            "Everybody. Of them a 25 %, b 75 %.",
        ),
    ],
)
def test_a_strategy_reads_as_a_sentence(wire: dict[str, Any], sentence: str) -> None:
    assert strategy_sentence(wire, SEGMENTS).replace("\u202f", " ") == sentence


def test_conditions_follow_whom_it_lets_in() -> None:
    country = {"contextName": "country", "operator": "IN", "values": ["ES", "FR"], "inverted": True}
    wire = strategy("default") | {"constraints": [country]}
    assert strategy_sentence(wire, {}) == "Everybody, if country is none of “ES”, “FR”."


def test_every_strategy_that_is_taken_has_a_sentence_of_its_own() -> None:
    said = {name: strategy_sentence(strategy(name), {}) for name in PARAMETERS}
    assert not [name for name, sentence in said.items() if "Whom the strategy" in sentence]
    assert strategy_sentence(strategy("ours"), {}) == "Whom the strategy ours lets in."


def test_variants_have_shares_of_all_weights_and_a_short_payload() -> None:
    one, two = variant_views(
        [
            {"name": "a", "weight": 1, "payload": {"type": "string", "value": "x" * 99}},
            {"name": "b", "weight": 3},
        ]
    )
    assert (one.share, two.share, two.payload) == (0.25, 0.75, "")
    assert one.payload == "x" * 80 + "…"
    assert variant_views([{"name": "none", "weight": 0}])[0].share == 0
