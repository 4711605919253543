"""No page in Spanish says a sentence of ours in English, while all is well and after the guard has rolled back."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts import guard_job
from control_plane import rollouts
from control_plane.core.phases import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from dashboards.view_models.audit_entry import PROGRAM
from tests.browser import stage
from tests.browser.test_screens import SCREENS
from tests.dashboards.browsing import looking

SPANISH = {"Accept-Language": "es", "Accept": "text/html"}
OTHERS = {
    "attempt": f"/rollouts/{FLAG}/rollbacks/1",
    "day": f"/rollouts/{FLAG}?window=24h",
    "unknown": "/rollouts/NOTHING",
    "new-segment": "/new-segment",
    "account": "/account",
    "stale": "/flags/stale",
    "nobody": "/credits?user=nobody",
    "trial": "/alerts/credit_consumption_failure?threshold=2%25&over=10m",
}
CODE = ("code", "pre", "script", "style", "textarea")
EMPTY = ("br", "circle", "hr", "img", "input", "line", "link", "meta", "path", "rect")
ENGLISH = re.compile(
    r"\b(an?|and|are|as|at|by|for|from|has|have|in|is|it|its|not|no|of|on|once|or|since|still|that|the|this|to|until|"
    r"was|were|which|with|yet)\b",
    re.IGNORECASE,
)
WRITTEN_ENGLISH = 2
"""So many words that only English has make a sentence of it."""


class Texts(HTMLParser):
    """What a page says in its own language: neither code, nor what is marked as of another one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [str(given[name]) for name in ("alt", "aria-label", "placeholder", "title") if given.get(name)]
        if tag not in EMPTY:
            self._open.append((tag, tag in CODE or given.get("lang") not in (None, "es")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(hidden for _, hidden in self._open):
            self.found.append(data)


def english(html: str) -> Iterator[str]:
    """The texts of a page that read as English."""
    parser = Texts()
    parser.feed(html)
    for text in (" ".join(found.split()) for found in parser.found):
        words = {word.lower() for word in ENGLISH.findall(text)} - {"a", "no", "as"}
        if len(words) >= WRITTEN_ENGLISH:
            yield text


def walk(browser: FlaskClient, people: frozenset[str]) -> Mapping[str, str]:
    """Each English text with the page that has it, but for what people wrote."""
    pages = {name: browser.get(path, headers=SPANISH).text for name, path in (SCREENS | OTHERS).items()}
    return {text: name for name, html in pages.items() for text in english(html) if text.rstrip(".") not in people}


@pytest.fixture
def people(app: Flask) -> Callable[[], frozenset[str]]:
    """What people gave as their reasons, without full stops."""

    def read() -> frozenset[str]:
        with looking(app) as session:
            entries = audit.latest(session, limit=500)
        return frozenset(each.reason.rstrip(".") for each in entries if each.actor not in PROGRAM)

    return read


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>The guard has not looked yet.</p>", ["The guard has not looked yet."]),
        ("<p>El guardián aún no ha mirado.</p>", []),
        ('<p><span lang="en">It is over.</span></p><code>of the</code>', []),
        ('<img alt="of the chart"><br>', ["of the chart"]),
    ],
)
def test_english_is_found(html: str, found: list[str]) -> None:
    assert list(english(html)) == found


@pytest.mark.database("sqlite")
def test_no_page_says_a_sentence_of_ours_in_english(
    app: Flask, sign_in: Callable[[str], FlaskClient], people: Callable[[], frozenset[str]]
) -> None:
    now = datetime.now(UTC)
    stage.set_up(app, now)
    alice = sign_in("alice")
    assert walk(alice, people()) == {}
    with app.app_context():
        for _ in range(300):
            signals.record(Sample("credit_variance", bad=True))
        guard_job.run_guard(now + timedelta(seconds=1), 1)
    with looking(app) as session:
        assert rollouts.find(session, FLAG).latched
    assert walk(alice, people()) == {}
