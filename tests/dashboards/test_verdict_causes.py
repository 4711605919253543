"""Each cause of a verdict, as the guard writes it down, is told in the language of the page."""

from collections.abc import Iterable

import pytest

from alerts.analysis import verdicts
from alerts.analysis.rules import Rule
from dashboards.language import use_language
from dashboards.stored_sentences import localized_text
from tests.alerts.analysis.guarded_flag import ERRORS, FAILURE, GuardedFlag

NAMES = {"control": "legacy", "candidate": "v2"}


def causes() -> Iterable[str]:
    for sentence in verdicts.LIKELY.values():
        yield sentence.format(**NAMES)
    for _, sentence in verdicts.BREACHES.values():
        yield sentence.format(**NAMES)


def caused(rule: Rule, bad: int, total: int) -> str:
    return GuardedFlag(rule).tick(bad, total).cause


@pytest.mark.parametrize(
    "cause", [*causes(), caused(ERRORS, 50, 100), caused(FAILURE, 3, 20), caused(FAILURE, 0, 0), caused(FAILURE, 1, 20)]
)
def test_a_cause_is_told_in_spanish(cause: str) -> None:
    with use_language("es"):
        assert localized_text(cause) != cause
