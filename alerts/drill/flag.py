"""The drill's own flag and alert: judged by the running guard beside the real ones, sharing nothing with them. Pure."""

from alerts.analysis.rules import Rule
from alerts.definitions import parser

FLAG = "GUARD_DRILL"
SIGNAL = "guard_drill"
TEXT = f"""
alerts:
  {SIGNAL}:
    threshold: 1%
    window: 5m
    severity: critical
    metric: {SIGNAL}
    flag: {FLAG}
"""
(RULE,) = parser.parse(TEXT)


def with_drill(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules in force and the drill's own, which has an alpha of its own flag and takes nothing from theirs."""
    return (*rules, RULE)
