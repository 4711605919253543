"""The drill's own migration and alerts: judged by the running guard beside the real ones, sharing nothing. Pure."""

from alerts.analysis.rules import Rule
from alerts.definitions import parser
from control_plane.core.phases import Rollout
from control_plane.experiments.migration import Migration

FLAG = "GUARD_DRILL"
DRILL = Migration.named(FLAG, control="control", candidate="candidate", prefix="guard_drill")
SIGNAL = DRILL.signals.failure
SLOW_SECONDS = 0.05
TEXT = f"""
alerts:
  {SIGNAL}: {{threshold: 1%, window: 5m, severity: critical}}
  {DRILL.signals.difference}: {{threshold: 0.1%, window: 5m, severity: critical}}
  {DRILL.signals.slow}: {{threshold: 50ms, window: 5m, severity: critical}}
"""
RULES = parser.parse(TEXT, (DRILL,))


def rule_on(signal: str) -> Rule:
    """Return the drill's rule on a signal of its migration, such as `failure`."""
    name = getattr(DRILL.signals, signal)
    return next(rule for rule in RULES if rule.name == name)


def is_over(rollout: Rollout) -> bool:
    """Return whether this is what the last drill left, which is about nobody."""
    return rollout.flag == FLAG and rollout.latched


def with_drill(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rules in force and the drill's own, whose alpha is its own flag's and takes nothing from theirs."""
    return (*rules, *RULES)
