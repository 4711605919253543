from typing import Any

import pytest

from tests.flags.unleash.canonical.examples import constrained, constraint, feature, is_on, mistakes, taken

PLACE = "strategies[0].constraints[0]"
NOBODY = {"operator": "IN", "values": [], "inverted": False}


def test_a_constraint_is_sent_whole() -> None:
    assert constraint(constrained(operator="IN", values=["pro"])) == {
        "contextName": "plan",
        "operator": "IN",
        "values": ["pro"],
        "inverted": False,
        "caseInsensitive": False,
    }


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"operator": "IN", "values": [" pro ", 12, True, 1.5]}, {"values": ["pro", "12", "true", "1.5"]}),
        ({"operator": "STR_CONTAINS", "values": ["a"], "caseInsensitive": True}, {"caseInsensitive": True}),
        ({"operator": "IN", "values": ["a"], "caseInsensitive": True}, {"caseInsensitive": False}),
        ({"operator": "IN", "values": [], "inverted": True}, {"values": [], "inverted": True}),
        ({"operator": "NUM_GT", "value": 12}, {"value": "12"}),
        ({"operator": "NUM_GT", "value": " +007.50 "}, {"value": "7.5"}),
        ({"operator": "NUM_GT", "value": "12.0"}, {"value": "12"}),
        ({"operator": "SEMVER_GTE", "value": "2.0.0-rc.1"}, {"value": "2.0.0-rc.1"}),
        ({"operator": "REGEX", "value": "^a\\d $"}, {"value": "^a[0-9] $"}),
        (
            {"operator": "IN_CIDR", "values": ["10.1.2.3/8", "::1", "10.0.0.1/32"]},
            {"values": ["10.0.0.0/8", "::1", "10.0.0.1"]},
        ),
        (
            {"operator": "DATE_AFTER", "contextName": "currentTime", "value": "2026-07-01"},
            {"value": "2026-07-01T00:00:00.000Z"},
        ),
        (
            {"operator": "DATE_BEFORE", "contextName": "currentTime", "value": "2026-07-01T02:00:00+02:00"},
            {"value": "2026-07-01T00:00:00.000Z"},
        ),
    ],
)
def test_it_repairs_what_is_only_spelled_badly(given: dict[str, Any], sent: dict[str, Any]) -> None:
    made = constraint(constrained(**given))
    assert {name: made[name] for name in sent} == sent


@pytest.mark.parametrize(
    "given",
    [
        {"operator": "RESEMBLES", "value": "a"},
        {"operator": "STR_ENDS_WITH", "values": []},
        {"operator": "IN_CIDR", "values": ["10.0.0", "10.0.0.0/33"]},
        {"operator": "SEMVER_EQ", "value": "the latest"},
        {"operator": "REGEX", "value": "(a"},
        {"operator": "REGEX", "value": "^(?=a)b$"},
    ],
)
def test_what_no_engine_can_meet_matches_nobody_and_is_told(given: dict[str, Any]) -> None:
    raw = constrained(**given)
    made = constraint(raw)
    assert {name: made[name] for name in NOBODY} == NOBODY
    assert "matches nobody" in taken(raw).repairs[-1].sentence
    assert not is_on(raw, plan="a")
    assert any("the opposite" in sentence for sentence in mistakes(constrained(inverted=True, **given)).values())


@pytest.mark.parametrize(
    ("given", "field", "fault"),
    [
        ({"operator": "IN"}, "values", "list of values"),
        ({"operator": "IN", "values": "pro"}, "values", "A list is needed"),
        ({"operator": "IN", "values": [""]}, "values[0]", "empty"),
        ({"operator": "STR_CONTAINS", "values": ["a", " "]}, "values[1]", "empty"),
        ({"operator": "IN", "values": ["back\\"]}, "values[0]", "backslash"),
        ({"operator": "IN", "values": [None]}, "values[0]", "Text is needed"),
        ({"operator": "IN", "values": [{}]}, "values[0]", "Text is needed"),
        ({"operator": "IN", "values": ["a"], "inverted": "no"}, "inverted", "true or false"),
        ({"operator": "NUM_LT"}, "value", "needs a value"),
        ({"operator": "NUM_LT", "value": "0x10"}, "value", "0x10"),
        ({"operator": "NUM_LT", "value": "1e99"}, "value", "1e99"),
        ({"operator": "NUM_LT", "value": float("nan")}, "value", "nan"),
        ({"operator": "DATE_AFTER", "value": "2026-07-01"}, "contextName", "current time whatever field is named"),
        ({"operator": "IN", "contextName": "currentTime", "values": ["a"]}, "contextName", "goes with DATE_AFTER"),
        ({"operator": "DATE_AFTER", "contextName": "currentTime", "value": "soon"}, "value", "soon"),
        ({"operator": "REGEX", "value": "a**"}, "value", "parentheses"),
        ({"operator": "REGEX", "value": "a\\\\"}, "value", "backslash"),
        ({"operator": "IN", "contextName": 'pl"an', "values": []}, "contextName", 'pl"an'),
        ({"operator": "IN", "contextName": None, "values": []}, "contextName", "A context field"),
        ({"operator": "IN", "contextName": "constructor", "values": []}, "contextName", "Node SDK finds something"),
        ({"operator": "IN", "contextName": "__proto__", "values": []}, "contextName", "Node SDK finds something"),
        ({"operator": "IN", "contextName": "properties", "values": []}, "contextName", "Node SDK finds something"),
        ({"operator": "SEMVER_EQ", "value": "v2.0.0"}, "value", "Engines differ"),
        ({"operator": "SEMVER_GT", "value": "1.2"}, "value", "Engines differ"),
        ({"operator": "SEMVER_GT", "value": "1.0.0+build.7"}, "value", "Engines differ"),
        ({"operator": "SEMVER_LT", "value": "9007199254740991.0.0"}, "value", "Engines differ"),
        ({"operator": "SEMVER_LT", "value": f"1.0.0-{'a' * 251}"}, "value", "Engines differ"),
        ({"operator": "IN_CIDR", "values": ["10.1.2.3/255.0.0.0"]}, "values", "mask"),
        ({"operator": "IN_CIDR", "values": ["10.1.2.3/0.255.255.255"]}, "values", "mask"),
    ],
)
def test_it_refuses_what_engines_read_differently_and_names_the_field(
    given: dict[str, Any], field: str, fault: str
) -> None:
    assert fault in mistakes(constrained(**given))[f"{PLACE}.{field}"]


def test_values_with_quotes_and_inner_backslashes_reach_the_engine_as_they_are() -> None:
    for value in ('the "q"', "CORP\\alice", "it's", "a\nb", "日本"):
        raw = constrained(operator="IN", values=[value])
        assert is_on(raw, plan=value), value
        assert not is_on(raw, plan="other"), value


def test_a_constraint_that_is_no_object_is_refused_by_name() -> None:
    assert "object" in mistakes(feature({"name": "default", "constraints": [7]}))[PLACE]


@pytest.mark.parametrize(("written", "sent"), [("1e3", "1000"), ("-25e-2", "-0.25"), ("0e9", "0"), ("1.50", "1.5")])
def test_a_number_with_an_exponent_is_written_out(written: str, sent: str) -> None:
    assert constraint(constrained(operator="NUM_EQ", value=written))["value"] == sent


@pytest.mark.parametrize(
    ("given", "moves"),
    [
        ({"operator": "IN", "values": [" pro"]}, True),
        ({"operator": "IN", "values": [12]}, True),
        ({"operator": "NUM_GT", "value": " 5"}, True),
        ({"operator": "NUM_GT", "value": "5.0"}, False),
        ({"operator": "REGEX", "value": r"^\w"}, True),
        ({"operator": "IN_CIDR", "values": ["10.0.0.0/8", "no address"]}, False),
        ({"operator": "DATE_AFTER", "contextName": "currentTime", "value": "2026-07-01"}, True),
        ({"operator": "DATE_AFTER", "contextName": "currentTime", "value": "2026-07-01T00:00:00.0001Z"}, True),
        ({"operator": "DATE_AFTER", "contextName": "currentTime", "value": "2026-07-01T02:00:00+02:00"}, False),
    ],
)
def test_a_repair_says_whether_some_engine_answers_otherwise_than_before(given: dict[str, Any], moves: bool) -> None:
    assert any(repair.moves for repair in taken(constrained(**given)).repairs) is moves
