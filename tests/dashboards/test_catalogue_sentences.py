"""Why a catalogue, a plan or a segment can't be read, in the language of the page."""

import re

import pytest

from control_plane.plans import yaml_text
from control_plane.plans.yaml_text import MalformedYAML
from dashboards.language import use_language
from dashboards.stored_sentences import localized


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a: b: c",
            "a: [1",
            "a: {b: 1",
            'a: "x',
            "a: @x",
            'a: "\\q"',
            'a: "\\xZZ"',
            "--- a\n--- b",
            "{a: 1}}",
            "a: - b",
        ),
        *("a: ? b", "a: | x\n", "a: >-x", "a: !h!x b", "&", "[a, b]: c]", "? [a]\n: b", "%YAML 3.0\n---\na: 1", "\x07"),
    ],
)
def test_whatever_is_wrong_with_a_yaml_is_said_in_spanish(text: str) -> None:
    with pytest.raises(MalformedYAML) as malformed:
        yaml_text.load(text)
    with use_language("es"):
        said = str(localized(f"Line {malformed.value.line}: {malformed.value}"))
    assert said.startswith("Línea")
    assert not re.search(r"\b(expected|found|not|allowed|character|numbers?|keys?)\b", said)
