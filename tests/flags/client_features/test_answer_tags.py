"""Which questions of browsers may be answered by the tag of the answer before."""

from typing import Any

import pytest

from flags.client_features import answer_tags
from flags.client_features.answer_tags import AnswerTags
from flags.evaluation.contexts import Context

ANN = Context(user_id="ann", session_id="made up", remote_address="10.1.2.3", properties={"plan": "pro"})
AFTER = {"contextName": "currentTime", "operator": "DATE_AFTER", "value": "2026-01-01T00:00:00.000Z"}
OF_SESSION = {"contextName": "sessionId", "operator": "IN", "values": ["s"]}


def feature(**strategy: Any) -> dict[str, Any]:
    return {"name": "f", "strategies": [{"name": "default", "parameters": {}, "constraints": [], **strategy}]}


def test_a_question_is_named_by_all_that_its_answer_depends_on() -> None:
    tags = AnswerTags([feature()], [])
    asked = [
        ANN,
        Context(user_id="bob", remote_address="10.1.2.3", properties={"plan": "pro"}),
        Context(user_id="ann", remote_address="10.1.2.4", properties={"plan": "pro"}),
        Context(user_id="ann", remote_address="10.1.2.3", properties={"plan": "free"}),
        Context(user_id="ann", remote_address="10.1.2.3", properties={"plan": "pro"}, app_name="shop"),
    ]
    assert len({tags.key(each, has_session=False) for each in asked}) == len(asked)
    again = Context(user_id="ann", session_id="another", remote_address="10.1.2.3", properties={"plan": "pro"})
    assert tags.key(again, has_session=False) == tags.key(ANN, has_session=False), "a session of one request's length"
    assert tags.key(again, has_session=True) != tags.key(ANN, has_session=True)


@pytest.mark.parametrize(
    "flag",
    [
        feature(name="gradualRolloutSessionId", parameters={"percentage": "50"}),
        feature(name="flexibleRollout", parameters={"rollout": "50", "stickiness": "sessionId"}),
        feature(constraints=[OF_SESSION]),
        feature(variants=[{"name": "a", "stickiness": "sessionId"}]),
        feature() | {"variants": [{"name": "a", "stickiness": "sessionId"}]},
    ],
)
def test_where_a_session_counts_one_that_is_made_up_is_asked_anew(flag: dict[str, Any]) -> None:
    assert AnswerTags([flag], []).key(ANN, has_session=False) is None
    assert AnswerTags([flag], []).key(ANN, has_session=True) is not None


def test_nobody_in_particular_is_drawn_by_the_session() -> None:
    assert AnswerTags([feature()], []).key(Context(session_id="made up"), has_session=False) is None


@pytest.mark.parametrize(
    ("features", "segments"), [([feature(constraints=[AFTER])], []), ([], [{"constraints": [AFTER]}])]
)
def test_where_the_time_counts_it_is_asked_anew(features: list[Any], segments: list[Any]) -> None:
    tags = AnswerTags(features, segments)
    assert tags.key(ANN, has_session=True) is None
    assert tags.key(Context(user_id="ann", current_time="2026-01-01T00:00:00.000Z"), has_session=True) is not None


def test_no_more_are_kept_than_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_tags, "TAGS_MAX", 3)
    tags = AnswerTags([], [])
    for number in range(5):
        tags.add(b"%d" % number, f"tag {number}")
    assert [tags.find(b"%d" % number) for number in range(5)] == [None, None, None, "tag 3", "tag 4"]
    tags.add(None, "tag")
    assert tags.find(None) is None


def test_a_long_question_takes_no_more_room_than_a_short_one() -> None:
    tags = AnswerTags([], [])
    named = Context(user_id="ann", properties={"x" * 1_000_000: "\ud800"})
    keys = [tags.key(context, has_session=False) for context in (ANN, named)]
    assert [len(key or b"") for key in keys] == [answer_tags.KEY_BYTES] * 2
    assert keys[0] != keys[1]
