"""No page in Spanish says a word of ours in English, before and after a rollback, nor does a refused form."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from dashboards.view_models.audit_entry import PROGRAM
from tests.browser import example_rollouts
from tests.browser.test_screens import SCREENS
from tests.dashboards import full_pages
from tests.dashboards.browsing import read_session
from tests.dashboards.test_translations import catalogue, forms

SPANISH = {"Accept-Language": "es", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
OTHERS = {
    "attempt": f"/rollouts/{FLAG}/rollbacks/1",
    "attributes": "/rollouts/PRO_ONLY",
    "attributes-plan": "/rollouts/PRO_ONLY/plan",
    "segment-of-plan": "/segments/production/8",
    "search": "/flag/search",
    "both": "/credits?user=u-18",
    "day": f"/rollouts/{FLAG}?window=24h",
    "unknown": "/rollouts/NOTHING",
    "new-segment": "/new-segment",
    "account": "/account",
    "stale": "/flags/stale",
    "nobody": "/credits?user=u-99",
    "trial": "/alerts/credit_consumption_failure?threshold=2%25&over=10m",
}
WRONG = {
    "strategies": [
        {
            "name": "ours",
            "constraints": [
                {"contextName": "a", "operator": "NUM_EQ", "value": "x"},
                {"contextName": "b", "operator": "REGEX", "value": "(a"},
            ],
        },
        {"name": "flexibleRollout", "parameters": {"rollout": "200"}},
    ],
    "variants": [{"name": "blue", "weight": -1}],
}
WRONG_PLAN = "phases: [{name: a, title: A, audience: everyone, steps: [2, 1], soak: soon, extra: 1}]"
WHY = {"reason": "Porque sí."}
FORMS: Mapping[str, Mapping[str, str]] = {
    "/flag/search/environments/production": WHY | {"version": "2", "text": json.dumps(WRONG)},
    "/segments/production/3/edit": WHY | {"version": "1", "name": "", "text": "- {contextName: a}", "do": "save"},
    "/flags": WHY | {"name": "a/b", "environment": "production"},
    "/new-rollout": WHY | {"flag": "NEW", "text": WRONG_PLAN, "base": WRONG_PLAN, "do": "preview"},
    f"/rollouts/{FLAG}/rollback": {"reason": ""},
    "/users/beta": {"users": ""},
}
"""Forms that are refused, or only previewed."""
CODE = ("code", "pre", "script", "style", "textarea", "option", "del", "ins")
"""Elements whose content is not of ours: code, and values as they were."""
EMPTY = ("br", "circle", "hr", "img", "input", "line", "link", "meta", "path", "rect")
LATIN_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
OF_A_MESSAGE = re.compile(r"(?<![\w.(`/-])[A-Za-z][a-z']+(?![\w(`/-])")
NO_TEXT = re.compile(r"`[^`]*`|<code>.*?</code>|%\(\w+\)[sd]|<[^>]+>")
NOT_OF_OURS = re.compile(r"[\w.-]*[\d_@/-][\w.@/-]*|\w+(?:\[\d+\])?\.[\w.\[\]]+|\b[A-Z]{2,}\b|“[^”]*”|«[^»]*»|`[^`]*`")
"""Identifiers, addresses, flags and what is quoted."""
DATA = frozenset(
    {
        *("active", "app", "beta", "blue", "checkout", "custom", "development", "everyone", "free", "legacy", "older"),
        *("red", "rollout", "search", "service", "staging", "u"),
    }
)
"""Words of ours in English that somebody has as a name: of a flag, an environment, a phase, a colour."""


class Texts(HTMLParser):
    """A parser of what a page says in its own language: neither code, nor what is marked as of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.marked: list[str] = []
        self._open: list[tuple[str, bool, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [str(given[name]) for name in ("alt", "aria-label", "placeholder", "title") if given.get(name)]
        if tag not in EMPTY:
            self._open.append((tag, tag in CODE, given.get("lang") not in (None, "es")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if any(hidden for _, hidden, _ in self._open):
            return
        (self.marked if any(other for _, _, other in self._open) else self.found).append(data)


@cache
def english_vocabulary() -> frozenset[str]:
    """Return the words of the messages in English that no message in Spanish has."""
    messages = [each for each in catalogue("es") if each.id]
    ours = {
        word for each in messages for text in forms(each.id) for word in OF_A_MESSAGE.findall(NO_TEXT.sub(" ", text))
    }
    theirs = {word.lower() for each in messages for text in forms(each.string) for word in LATIN_WORD.findall(text)}
    return frozenset(word.lower() for word in ours if len(word) > 1) - theirs - DATA


def english(html: str) -> Iterator[str]:
    """Yield the texts of a page that have an English word of ours."""
    parser = Texts()
    parser.feed(html)
    yield from parser.marked
    for text in (" ".join(found.split()) for found in parser.found):
        words = {word.lower() for word in LATIN_WORD.findall(NOT_OF_OURS.sub(" ", text))}
        if words & english_vocabulary():
            yield text


def walk(browser: FlaskClient, people: frozenset[str]) -> Mapping[str, str]:
    """Return each English text with the page that has it, but for what people wrote; the glossary sets both beside
    each other."""
    screens = {name: path for name, path in (SCREENS | OTHERS).items() if name != "glossary"}
    pages = {name: browser.get(path, headers=SPANISH).text for name, path in screens.items()}
    for path, form in FORMS.items():
        pages[path] = browser.post(path, data=form, headers=SPANISH, follow_redirects=True).text
    return {text: name for name, html in pages.items() for text in english(html) if text.rstrip(".") not in people}


@pytest.fixture
def people(app: Flask) -> Callable[[], frozenset[str]]:
    """Return a function that reads the reasons that people gave, without full stops."""

    def read() -> frozenset[str]:
        with read_session(app) as session:
            entries = audit.latest(session, limit=500)
        return frozenset(each.reason.rstrip(".") for each in entries if each.actor not in PROGRAM)

    return read


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>The guard has not looked yet.</p>", ["The guard has not looked yet."]),
        ("<p>132 analysis and 8 roast</p>", ["132 analysis and 8 roast"]),
        ("<p>El guardián aún no ha mirado.</p>", []),
        ('<p><span lang="en">Over.</span></p><code>of the</code>', ["Over."]),
        ('<img alt="of the chart"><br>', ["of the chart"]),
    ],
)
def test_english_is_found(html: str, found: list[str]) -> None:
    assert list(english(html)) == found


@pytest.mark.database("sqlite")
def test_no_page_says_a_word_of_ours_in_english(
    app: Flask, sign_in: Callable[[str], FlaskClient], people: Callable[[], frozenset[str]]
) -> None:
    now = datetime.now(UTC)
    example_rollouts.set_up(app, now)
    full_pages.fill(app, now)
    alice = sign_in("alice")
    assert walk(alice, people()) == {}
    full_pages.roll_back(app, now)
    assert walk(alice, people()) == {}
