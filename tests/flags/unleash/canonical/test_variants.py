from typing import Any

import pytest

from tests.flags.unleash.canonical.examples import engine, feature, mistakes, taken

BLUE, GREEN = {"name": "blue", "weight": 500}, {"name": "green", "weight": 500}


def test_a_variant_is_sent_whole() -> None:
    override = {"contextName": "userId", "values": ["u1"]}
    given = BLUE | {"payload": {"type": "json", "value": ' {"a": 1} '}, "overrides": [override], "weightType": "fix"}
    (variant,) = taken(feature(variants=[given])).features[0]["variants"]
    assert variant == given | {"stickiness": "default"}


def test_all_variants_have_the_stickiness_of_the_first() -> None:
    outcome = taken(feature(variants=[BLUE | {"stickiness": "userId"}, GREEN]))
    assert [variant["stickiness"] for variant in outcome.features[0]["variants"]] == ["userId", "userId"]
    assert "stickiness" in outcome.repairs[-1].sentence


def test_weights_of_nothing_but_zero_leave_no_variant_because_they_stop_an_engine() -> None:
    raw = feature(variants=[BLUE | {"weight": 0}, GREEN | {"weight": 0}])
    assert taken(raw).features[0]["variants"] == []
    answer = engine({"features": [raw]}).check_variant("F", {"userId": "u1"})
    assert (answer.is_found, answer.variant.name) == (True, "disabled")


@pytest.mark.parametrize(
    ("change", "field", "fault"),
    [
        ({"weight": 1.5}, "weight", "1.5"),
        ({"weight": 1001}, "weight", "1001"),
        ({"weight": True}, "weight", "True"),
        ({"weight": None}, "weight", "None"),
        ({"name": ""}, "name", "Text is needed"),
        ({"name": "green"}, "name", "Another variant"),
        ({"weightType": "heavy"}, "weightType", "heavy"),
        ({"stickiness": 'q"'}, "stickiness", 'q"'),
        ({"payload": {"type": "xml", "value": "a"}}, "payload.type", "xml"),
        ({"payload": "a"}, "payload", "object"),
        ({"overrides": [{"values": ["a"]}]}, "overrides[0].contextName", "context field"),
        ({"overrides": [{"contextName": "plan", "values": [""]}]}, "overrides[0].values[0]", "Text is needed"),
    ],
)
def test_it_refuses_variants_that_engines_read_differently(change: dict[str, Any], field: str, fault: str) -> None:
    assert fault in mistakes(feature(variants=[GREEN, BLUE | change]))[f"variants[1].{field}"]


def test_it_refuses_variants_of_a_feature_whose_name_engines_hash_differently() -> None:
    assert "ASCII" in mistakes(feature(name="größe", variants=[BLUE, GREEN]))["variants"]
    assert len(taken(feature(name="größe", variants=[BLUE])).features[0]["variants"]) == 1
