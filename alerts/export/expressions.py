"""The counts of a rule as PromQL over the exported counters. Pure."""

from alerts.analysis.metrics import Compare
from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import Rule

OUTCOMES, BAD = "guard_outcomes_total", "guard_bad_outcomes_total"


def recorded_as(rule: Rule) -> str:
    """Return the name of the rule's recorded bad rate: level, measurement, operation."""
    return f"credits:{rule.name}:ratio_rate{span(rule)}"


def span(rule: Rule) -> str:
    """Return the rule's window as Prometheus writes it."""
    return duration_text(round(rule.window_seconds))


def ratio(rule: Rule) -> str:
    """Return the bad rate over the window. No bad outcome is 0, no outcome at all is nothing, so 0/0 never comes up."""
    return f"({_rate(bad(rule), rule)} or vector(0)) / ({_rate(total(rule), rule)} > 0)"


def bad(rule: Rule) -> str:
    """Return the counter of the rule's bad outcomes; the control's own defects are left out where they can be told."""
    return f"{BAD}{_selector(rule, without_control=rule.metric.control_apart)}"


def total(rule: Rule) -> str:
    """Return the counter of all of them; of discordant pairs, only those that one engine failed."""
    if rule.compare is Compare.DISCORDANT:
        return f'{BAD}{{signal=~"{rule.signal}|{rule.migration.signals.failed_control_only}"}}'
    return f"{OUTCOMES}{_selector(rule)}"


def _selector(rule: Rule, *, without_control: bool = False) -> str:
    engine = f', engine="{rule.metric.engine}"' if rule.metric.engine else ""
    if rule.metric.engine_unknown and not engine:
        engine = f', engine=~"[^:]*|{rule.flag}:.*"'  # what the sides of another flag served is another flag's
    if without_control:
        engine = f', engine!="{rule.migration.control}"'
    return f'{{signal="{rule.signal}"{engine}}}'


def _rate(counter: str, rule: Rule) -> str:
    return f"sum(rate({counter}[{span(rule)}]))"
