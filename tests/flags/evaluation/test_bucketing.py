import json
import random

import pytest
from yggdrasil_engine.engine import UnleashEngine

from flags.evaluation.bucketing import bucket, refused_user_id
from tests.flags.examples import FLAG

SURROGATE = "\ud800"


def test_known_users_stand_where_unleash_puts_them() -> None:
    assert (bucket("gr1", "123"), bucket("groupX", "999")) == (73, 25)


def test_buckets_run_from_1_to_100_and_are_filled_evenly() -> None:
    counts = dict.fromkeys(range(1, 101), 0)
    for number in range(50_000):
        counts[bucket(FLAG, f"user-{number}")] += 1
    assert sum(counts.values()) == 50_000
    assert min(counts.values()) > 350
    assert max(counts.values()) < 650


def test_random_users_have_the_bucket_that_the_official_engine_gives_them() -> None:
    chance = random.Random(20260701)
    engine, alphabet = UnleashEngine(), "abcXYZ0189-_@. äß日😀\"'\\"
    for _ in range(100):
        group = "".join(chance.choices("abcXYZ-_.", k=chance.randint(1, 12)))
        user = "".join(chance.choices(alphabet, k=chance.randint(1, 30)))
        assert _enters_at(engine, group, user) == bucket(group, user), (group, user)


def test_half_a_surrogate_pair_has_a_bucket_too() -> None:
    assert 1 <= bucket(FLAG, SURROGATE) <= 100


@pytest.mark.parametrize(
    "user_id", ["u1", "42", "a.b@example.com", "CORP\\alice", 'the "q"', "日本", "two words", "😀"]
)
def test_it_takes_ids_that_every_engine_reads_alike(user_id: str) -> None:
    assert refused_user_id(user_id) is None


@pytest.mark.parametrize(
    ("user_id", "fault"),
    [
        ("", "empty"),
        ("back\\", "backslash"),
        (" padded", "space"),
        ("padded ", "space"),
        ("tab\t", "invisible"),
        ("\ufeffmark", "invisible"),
        ("new\u0085line", "invisible"),
        (SURROGATE, "invisible"),
        ("x" * 257, "257"),
    ],
)
def test_it_refuses_ids_that_engines_read_differently(user_id: str, fault: str) -> None:
    assert fault in str(refused_user_id(user_id))


def test_a_refused_backslash_does_switch_a_whole_flag_off_in_the_official_engine() -> None:
    engine = UnleashEngine()
    engine.take_state(json.dumps(_state("default", {}, _named("other", "back\\"))))
    assert not engine.check_enabled(FLAG, {"userId": "other"}).is_enabled


def _enters_at(engine: UnleashEngine, group: str, user: str) -> int:
    """Return the lowest percentage that lets the user in, by bisection."""
    low, high = 1, 100
    while low < high:
        middle = (low + high) // 2
        engine.take_state(json.dumps(_share(group, middle)))
        if engine.check_enabled(FLAG, {"userId": user}).is_enabled:
            high = middle
        else:
            low = middle + 1
    return low


def _share(group: str, percentage: int) -> dict[str, object]:
    return _state("flexibleRollout", {"groupId": group, "stickiness": "userId", "rollout": str(percentage)})


def _named(*user_ids: str) -> dict[str, object]:
    return {"contextName": "userId", "operator": "IN", "values": list(user_ids)}


def _state(strategy: str, parameters: dict[str, str], *constraints: dict[str, object]) -> dict[str, object]:
    strategies = [{"name": strategy, "parameters": parameters, "constraints": list(constraints)}]
    return {"version": 2, "features": [{"name": FLAG, "enabled": True, "strategies": strategies}]}
