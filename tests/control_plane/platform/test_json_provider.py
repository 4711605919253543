"""JSON bodies are read as every database and every SDK understands them, or refused with a sentence."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.platform import json_provider
from control_plane.platform.json_provider import MalformedJSON

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
numbers = st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
)


@given(values)
def test_it_reads_whatever_can_be_stored(value: object) -> None:
    assert json_provider.loads(json.dumps(value)) == value
    assert json_provider.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_of_any_bytes_it_makes_what_they_say_or_refuses_them(body: bytes) -> None:
    with contextlib.suppress(MalformedJSON):
        value = json_provider.loads(body)
        assert json.loads(body.decode()) == value


@given(values, st.sampled_from(["\x00", "\ud800", "\udfff"]))
def test_it_refuses_what_no_database_stores_wherever_it_hides(value: object, poison: str) -> None:
    for text in ([value, {"deep": [poison]}], {poison: value}):
        with pytest.raises(MalformedJSON, match="stored"):
            json_provider.loads(json.dumps(text))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("NaN", "NaN"),
        ("[Infinity]", "Infinity"),
        ("[-Infinity]", "Infinity"),
        ("1e999", "too large"),
        ("9" * 401, "401 digits"),
        ("[" * 100_000, "nested too deeply"),
        ("[1, 2", "line 1, column"),
        (b"\xff", "byte 0"),
        ('"a\nb"', "control character"),
        ("", "line 1"),
    ],
)
def test_the_sentence_says_what_is_wrong(body: str | bytes, words: str) -> None:
    with pytest.raises(MalformedJSON, match=words):
        json_provider.loads(body)


def test_it_keeps_pairs_and_escaped_backslashes() -> None:
    text = '{"pair": "\\ud83d\\ude00", "literal": "\\\\u0000", "number": -1.5e3, "nested": [null, true]}'
    assert json_provider.loads(text) == {"pair": "😀", "literal": "\\u0000", "number": -1500.0, "nested": [None, True]}
