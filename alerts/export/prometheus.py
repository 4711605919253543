"""`alerts.yaml` as Prometheus rules: per alert a recorded rate, a plain alert for people and one for the guard.

A plain comparison of a rate with a threshold, looked at for a week, fires on healthy releases with near certainty.
So the plain alert names its rollout in the label `rollout` and reaches people only; the label `flag`, by which
Alertmanager's route to the guard is chosen, is on the alert that rests on evidence.
"""

from collections.abc import Sequence
from typing import Any

from alerts.analysis.rules import Rule
from alerts.export.expressions import ratio, recorded_as, span, total

Document = dict[str, Any]

SAMPLES_NEEDED = 4
RUNBOOK = "docs/runbook.md"
WATCHDOGS = (
    ("guard_dead", "guard_lease_seconds_left <= 0 or absent(guard_lease_seconds_left)", "The guard does not judge."),
    ("guard_lag", "guard_lag_seconds > 10", "The guard has not judged for ten seconds."),
)


def rules_document(rules: Sequence[Rule], *, scrape_seconds: float) -> Document:
    """Return the rule file. Raises ValueError for a window that is too short to be seen at this scrape interval."""
    blind = [rule.name for rule in rules if rule.window_seconds < SAMPLES_NEEDED * scrape_seconds]
    if blind:
        raise ValueError(
            f"{', '.join(blind)}: a window must hold {SAMPLES_NEEDED} scrapes, {SAMPLES_NEEDED * scrape_seconds:g} "
            f"seconds; scrape more often or widen the window."
        )
    return {
        "groups": [
            {"name": "credits-rates", "rules": [_recording(rule) for rule in rules]},
            {"name": "credits-alerts", "rules": [each for rule in rules for each in (plain(rule), evidence(rule))]},
            {"name": "credits-watchdogs", "rules": [watchdog(*each) for each in WATCHDOGS] + [_unmeasured(rules)]},
        ]
    }


def plain(rule: Rule) -> Document:
    """Return the alert that people know from elsewhere: the window's rate is over the threshold."""
    return {
        "alert": rule.name,
        "expr": f"{recorded_as(rule)} > {rule.threshold:g}",
        **({"for": f"{rule.for_seconds:g}s"} if rule.for_seconds else {}),
        "labels": _labels(rule) | {"rollout": rule.flag},
        "annotations": _annotations(rule, f"{rule.name}: the last {span(rule)} are over {rule.threshold_sentence}."),
    }


def evidence(rule: Rule) -> Document:
    """Return the alert for the guard's route: the evidence is there and stands.

    It comes with the guard's own label `flag`.
    """
    of_rule = f'flag="{rule.flag}", alert="{rule.name}"'
    return {
        "alert": f"{rule.name}_evidence",
        "expr": (
            f"guard_evidence_log10{{{of_rule}}} >= on (flag, alert) guard_rollback_log10{{{of_rule}}} "
            f'and on (flag, alert) guard_verdict{{{of_rule}, status="rollback"}} == 1'
        ),
        "labels": _labels(rule) | {"rule": rule.name},
        "annotations": _annotations(rule, f"{rule.name}: the evidence suffices for a rollback."),
    }


def watchdog(name: str, expression: str, summary: str) -> Document:
    """Return an alert on the guard itself."""
    return {
        "alert": name,
        "expr": expression,
        "labels": {"severity": "critical", "source": "prometheus"},
        "annotations": {"summary": summary, "runbook": f"{RUNBOOK}#{name}"},
    }


def _unmeasured(rules: Sequence[Rule]) -> Document:
    absent = " or ".join(f"absent({total(rule)})" for rule in rules)
    return watchdog(
        "guard_measures_missing",
        f"({absent}) and on () (max(guard_exposed) > 0)",
        "Users are exposed, and a measurement that an alert needs is missing.",
    )


def _recording(rule: Rule) -> Document:
    return {"record": recorded_as(rule), "expr": ratio(rule)}


def _labels(rule: Rule) -> dict[str, str]:
    return {"severity": rule.severity.value, "source": "prometheus"}


def _annotations(rule: Rule, summary: str) -> dict[str, str]:
    return {
        "summary": summary,
        "threshold": rule.threshold_sentence,
        "window": span(rule),
        "runbook": f"{RUNBOOK}#{rule.name}",
    }
