"""Contrast, which axe can't judge inside drawings: every pair of colours that is used meets WCAG 2.2 AA."""

import re
from itertools import product
from pathlib import Path

import pytest

STYLES = (Path(__file__).parents[2] / "dashboards/static/app.css").read_text()
TOKENS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLES)
}
SCHEMES = ("light", "dark")
TEXT, SIGN = 4.5, 3.0
GROUNDS = ("canvas", "surface", "sunken")
SOFT = {
    "good": "good-soft",
    "caution": "caution-soft",
    "bad": "bad-soft",
    "accent": "accent-soft",
    "muted": "quiet-soft",
}

TEXTS = [
    *product(("ink", "muted"), GROUNDS),
    *product(("accent", "accent-strong", "good", "bad", "caution"), ("canvas", "surface")),
    *SOFT.items(),
    *product(("ink",), SOFT.values()),
    *(("muted", soft) for soft in SOFT.values()),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
]
SIGNS = [
    *product(("edge",), ("canvas", "surface")),
    *product(("v2", "legacy", "bad", "edge"), ("surface",)),
    *product(("surface",), ("good", "caution", "bad", "accent", "muted")),
    *product(("good", "caution", "bad", "accent", "ink"), ("sunken",)),
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_can_be_read(text: str, ground: str, scheme: str) -> None:
    assert contrast(TOKENS[text][scheme], TOKENS[ground][scheme]) >= TEXT


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("sign", "ground"), SIGNS)
def test_signs_can_be_seen(sign: str, ground: str, scheme: str) -> None:
    assert contrast(TOKENS[sign][scheme], TOKENS[ground][scheme]) >= SIGN


def test_black_on_white_measures_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_no_colour_is_written_outside_the_tokens() -> None:
    rules = STYLES.split("--sans:", 1)[1]
    assert re.findall(r"#[0-9a-f]{3,8}\b", rules) == []


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of an sRGB colour, as WCAG defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
