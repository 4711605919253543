import json
from typing import Any

import pytest
from yggdrasil_engine.engine import UnleashEngine

from control_plane.audiences.exposure import Exposure
from flags.evaluation.evaluator import Override, RolloutFlag
from flags.unleash.compiler import SegmentKind, compile_flag, conflicting_key, next_change_at, segment_id
from tests.flags.examples import EVERYTHING, EXPIRED, FLAG, NAMED, NOW, SECOND, flag

DENIED, ALLOWED, BETA = (segment_id(FLAG, kind) for kind in SegmentKind)
PHASE_4 = Exposure(allowlist=True, new_signups_percentage=100, everyone_percentage=25)
STOPPED = [{"latched": "defects"}, {"guard_expires_at": NOW}, {"environment_switch": False}]


def test_each_audience_adds_a_strategy_and_denials_apply_to_all() -> None:
    compiled = compile_flag(flag(exposure=PHASE_4, beta={"b"}, allowed={"a": NAMED}, denied={"d": NAMED}), NOW)
    assert [(s["name"], s["segments"]) for s in compiled.feature["strategies"]] == [
        ("default", [DENIED, ALLOWED]),
        ("default", [DENIED, BETA]),
        ("flexibleRollout", [DENIED]),
        ("flexibleRollout", [DENIED]),
    ]
    assert [strategy["parameters"] for strategy in compiled.feature["strategies"][2:]] == [
        {"rollout": "100", "stickiness": "userId", "groupId": FLAG},
        {"rollout": "25", "stickiness": "userId", "groupId": FLAG},
    ]


def test_segments_list_users_in_order_and_the_denied_as_not_in() -> None:
    compiled = compile_flag(flag(exposure=PHASE_4, beta={"z", "b"}, denied={"y": NAMED, "d": NAMED}), NOW)
    assert [(s["id"], _listed(s)) for s in compiled.segments] == [
        (DENIED, ("NOT_IN", ["d", "y"])),
        (BETA, ("IN", ["b", "z"])),
    ]


def test_an_open_environment_is_on_without_a_user() -> None:
    (strategy,) = compile_flag(flag(environment="staging", exposure=Exposure(environment=True)), NOW).feature[
        "strategies"
    ]
    assert (strategy["name"], strategy["constraints"], strategy["segments"]) == ("default", [], [])


def test_a_flag_that_is_open_to_nobody_is_off_and_has_a_strategy_all_the_same() -> None:
    feature = compile_flag(flag(beta={"b"}), NOW).feature
    assert not feature["enabled"]
    assert [strategy["parameters"]["rollout"] for strategy in feature["strategies"]] == ["0"]


@pytest.mark.parametrize("stop", STOPPED, ids=lambda stop: next(iter(stop)))
def test_a_stop_switches_off_and_keeps_everything_else_so_that_lifting_it_restores_the_phase(stop: Any) -> None:
    running = compile_flag(flag(exposure=PHASE_4, beta={"b"}), NOW)
    stopped = compile_flag(flag(exposure=PHASE_4, beta={"b"}, **stop), NOW)
    assert stopped.feature == running.feature | {"enabled": False}
    assert stopped.segments == running.segments


def test_the_environment_variable_on_opens_to_everybody_even_when_rolled_back() -> None:
    feature = compile_flag(flag(environment="development", environment_switch=True, latched="defects"), NOW).feature
    assert feature["enabled"]
    assert [(s["name"], s["segments"]) for s in feature["strategies"]] == [("default", [])]


def test_expired_overrides_are_left_out() -> None:
    compiled = compile_flag(flag(denied={"d": EXPIRED}, allowed={"a": EXPIRED}, exposure=PHASE_4), NOW)
    assert compiled.segments == ()
    assert all(strategy["segments"] == [] for strategy in compiled.feature["strategies"])


def test_users_whose_ids_engines_misread_are_left_out_and_reported() -> None:
    compiled = compile_flag(flag(denied={"d": NAMED, "back\\": NAMED}, allowed={" a": NAMED}), NOW)
    assert compiled.left_out == (" a", "back\\")
    assert [_listed(segment) for segment in compiled.segments] == [("NOT_IN", ["d"])]
    assert _answer(flag(denied={"back\\": NAMED}, exposure=EVERYTHING), {"userId": "alice"})


@pytest.mark.parametrize("signup", ["2026-08-01", "2026-08-01T00:00:00", "2026-08-01T00:00:00+00:00", "soon", "", None])
def test_a_signup_date_in_another_spelling_is_not_new(signup: str | None) -> None:
    newcomers = flag(exposure=Exposure(new_signups_percentage=100))
    properties = {} if signup is None else {"signupDate": signup}
    assert not _answer(newcomers, {"userId": "alice", "properties": properties})
    assert _answer(newcomers, {"userId": "alice", "properties": {"signupDate": "2026-08-01T00:00:00Z"}})


def test_no_constraint_compares_dates_because_engines_compare_different_ones() -> None:
    feature = compile_flag(flag(exposure=PHASE_4), NOW).feature
    operators = {c["operator"] for strategy in feature["strategies"] for c in strategy["constraints"]}
    assert operators == {"STR_STARTS_WITH", "STR_ENDS_WITH"}


def test_everything_that_must_be_text_is_text() -> None:
    feature = compile_flag(flag(exposure=PHASE_4), NOW).feature
    for strategy in feature["strategies"]:
        assert all(isinstance(value, str) for value in strategy["parameters"].values())


def test_compiling_twice_gives_the_same_bytes() -> None:
    beta = frozenset(f"user-{number}" for number in range(100))
    once, again = (compile_flag(flag(exposure=PHASE_4, beta=beta), NOW) for _ in range(2))
    assert json.dumps([once.feature, once.segments]) == json.dumps([again.feature, again.segments])


def test_the_next_change_is_the_first_end_to_come() -> None:
    later, sooner = Override("a week", NOW + 9 * SECOND), Override("a day", NOW + 5 * SECOND)
    changing = flag(denied={"d": later, "e": EXPIRED}, allowed={"a": sooner, "b": NAMED})
    assert next_change_at(changing, NOW) == sooner.expires_at
    assert next_change_at(flag(allowed={"a": sooner}, guard_expires_at=NOW + SECOND), NOW) == NOW + SECOND
    assert next_change_at(flag(allowed={"a": EXPIRED}), NOW) is None


def test_segment_ids_fit_the_32_bits_of_sdks_and_stay_clear_of_imported_ones() -> None:
    ids = [segment_id(f"flag-{number}", kind) for number in range(2000) for kind in SegmentKind]
    assert len(set(ids)) == len(ids)
    assert min(ids) >= 1_000_000_000
    assert max(ids) < 2**31


def test_a_clash_of_segment_ids_is_found_before_it_happens() -> None:
    assert conflicting_key(FLAG, [FLAG, "OTHER"]) is None
    assert conflicting_key("FLAG_25537", ["OTHER", "FLAG_26611"]) == "FLAG_26611"


def _listed(segment: dict[str, Any]) -> tuple[str, list[str]]:
    (constraint,) = segment["constraints"]
    assert constraint["contextName"] == "userId"
    return constraint["operator"], list(constraint["values"])


def _answer(asked: RolloutFlag, context: dict[str, Any]) -> bool:
    compiled, engine = compile_flag(asked, NOW), UnleashEngine()
    engine.take_state(json.dumps({"version": 2, "features": [compiled.feature], "segments": compiled.segments}))
    return bool(engine.check_enabled(FLAG, context).is_enabled)
