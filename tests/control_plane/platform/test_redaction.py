"""A person's names in texts and JSON: every mention goes, and nothing that only looks alike."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.platform.redaction import redaction

IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=3, max_size=12).filter(
    lambda name: not name.isdigit() and name.strip() == name and name not in ("user", "kept", "other", "pseudo")
)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ada", "User ada left; ada.", "User P left; P."),
        ("ada", "adam, ada2, ada.b, x-ada, ada@x.org", "adam, ada2, ada.b, x-ada, ada@x.org"),
        ("ada@x.org", "wrote: ada@x.org", "wrote: P"),
        ("7", "7 joined, user 7 left", "7 joined, user P left"),
        ("7", "user:7", "user:P"),
        ("7", "7", "P"),
    ],
)
def test_mentions_go_and_likenesses_stay(name: str, text: str, expected: str) -> None:
    assert redaction([name], "P").text(text) == expected


@given(IDS)
def test_no_value_key_or_list_of_json_keeps_a_name(name: str) -> None:
    document = {"user": name, name: [1, {"x": [name, None]}], "kept": "other"}
    made = redaction([name], "pseudo")
    assert made.value(document) == {"user": "pseudo", "pseudo": [1, {"x": ["pseudo", None]}], "kept": "other"}
    assert json.loads(made.text(json.dumps({"user": name}))) == {"user": "pseudo"}


def test_the_longest_name_goes_first() -> None:
    assert redaction(["ada", "ada lovelace"], "P").text("ada lovelace, ada") == "P, P"
