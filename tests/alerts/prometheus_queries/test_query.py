"""How a query is written in alerts.yaml, and what it changes."""

import pytest

from alerts.analysis.rules import Query
from alerts.definitions import parser
from alerts.definitions.parser import InvalidRules

WRITTEN = """
alerts:
  elsewhere:
    threshold: 1%
    window: 5m
    severity: critical
    metric: elsewhere
    query: {bad: sum(bad), total: sum(all)}
"""


def test_a_query_names_the_bad_and_all_of_them() -> None:
    (rule,) = parser.parse(WRITTEN)
    assert rule.query == Query("sum(bad)", "sum(all)")


def test_another_query_is_another_question() -> None:
    (rule,), (other,) = parser.parse(WRITTEN), parser.parse(WRITTEN.replace("sum(all)", "sum(most)"))
    assert rule.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (WRITTEN.replace(", total: sum(all)", ""), "expected the keys bad and total"),
        (WRITTEN.replace("sum(all)", "[sum, all]"), "expected the keys bad and total"),
        (WRITTEN.replace("{bad: sum(bad), total: sum(all)}", "sum(bad)"), "expected the keys bad and total"),
        (WRITTEN.replace("metric: elsewhere", "metric: api_error_rate"), "counts api_error_rate itself"),
    ],
)
def test_what_is_no_query_is_refused_with_its_line(written: str, told: str) -> None:
    with pytest.raises(InvalidRules, match=told) as refused:
        parser.parse(written)
    assert refused.value.mistakes[0].key == "alerts.elsewhere.query"
