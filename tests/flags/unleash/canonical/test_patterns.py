import pytest

from flags.unleash.canonical.patterns import PatternFeature, PatternIssue, canonical_pattern
from tests.flags.unleash.canonical.examples import constrained, is_on


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^cat$",
        "a|b",
        "(a)(?:b)(?P<n>c)",
        "(?i)a(?s:.)",
        "[a-z_-]+?",
        "[^@]{2,4}",
        "[[:alpha:]]",
        r"\bcat\b",
        r"\.\-\x41",
    ],
)
def test_common_ground_stays_as_it_is(pattern: str) -> None:
    assert canonical_pattern(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (r"\d+", "[0-9]+"),
        (r"^\w\s$", r"^[0-9A-Za-z_][\t\n\f\r ]$"),
        (r"\D\S", r"[^0-9][^\t\n\f\r ]"),
        (r"[\d.]", "[0-9.]"),
    ],
)
def test_shorthands_are_written_out_because_engines_disagree_on_other_scripts(pattern: str, written: str) -> None:
    assert canonical_pattern(pattern) == written


@pytest.mark.parametrize("pattern", ["(a", "a)", "[a", "a\\", "*a", "a|+", "(?<!a)b", r"(a)\1", "[z-a]", "a{4,2}"])
def test_what_no_engine_takes_is_invalid(pattern: str) -> None:
    flaw = canonical_pattern(pattern)
    assert isinstance(flaw, PatternIssue)
    assert flaw.fault is PatternFeature.INVALID
    assert flaw.sentence.endswith(".")


@pytest.mark.parametrize(
    "pattern",
    [
        *("a**", "^*", "a{2", "a}", "a]", "[]a]", "[a&&b]", "[a--b]", "[[a]b]", r"[\D]", r"[a-\d]", "(?x)a b"),
        *(r"\Qa\E", r"\<a", r"\Z", r"\B", "(a{100}){100}", "a{1001}", "x" * 1001),
    ],
)
def test_what_engines_take_differently_is_told(pattern: str) -> None:
    flaw = canonical_pattern(pattern)
    assert isinstance(flaw, PatternIssue)
    assert flaw.fault is PatternFeature.DIVERGENT
    assert flaw.sentence.endswith(".")


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        (r"^user\d{3}$", "user123", "user12a"),
        (r"^[\w.]+@\w+$", "a.b@c", "a b@c"),
        (r"(?i)^pro( plus)?$", "PRO Plus", "professional"),
        (r"^a{2,4}$", "aaa", "aaaaa"),
        (r"^\d$", "7", "٣"),
    ],
)
def test_the_official_engine_takes_what_is_written(pattern: str, matching: str, other: str) -> None:
    raw = constrained(operator="REGEX", value=pattern)
    assert is_on(raw, plan=matching)
    assert not is_on(raw, plan=other)
