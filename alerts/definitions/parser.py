"""Reads the text of `alerts.yaml` into rules, or into the list of everything wrong with it, each with its line."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import yaml

from alerts.analysis import quantities
from alerts.analysis.metrics import METRICS, Compare, Metric, Unit
from alerts.analysis.rules import ATTEMPT_ALPHA, Action, NoData, Per, Rule, Severity
from alerts.analysis.sequential_test import HIGHEST_NULL
from alerts.definitions import value_parsers
from alerts.definitions.declared_migrations import declared_migrations
from alerts.definitions.known_metrics import KnownMetrics
from alerts.definitions.rule_errors import Children, RuleError, children_of
from alerts.definitions.value_parsers import FLAG_PATTERN, NAME_PATTERN
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration

DEFAULT_QUANTILE = Decimal(95)
WINDOW_SECONDS = (Decimal(10), Decimal(86_400))
HOUR_SECONDS = 3600
ALERTS_MAX = 100
CHARACTERS_MAX = 1_000_000
TOP_KEYS = ("alerts", "migrations")
REQUIRED = ("threshold", "window", "severity")
ACTIONS = {Severity.CRITICAL: Action.ROLLBACK, Severity.WARNING: Action.ROLLBACK, Severity.INFO: Action.NOTIFY}
NO_DATA = {Severity.CRITICAL: NoData.ROLLBACK, Severity.WARNING: NoData.HOLD, Severity.INFO: NoData.IGNORE}


class InvalidRules(ValueError):  # noqa: N818 - it carries every mistake, not one error
    """The text is no valid set of alerts; `mistakes` lists everything wrong with it, in line order."""

    def __init__(self, mistakes: Iterable[RuleError]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.line, mistake.key)))
        super().__init__("\n".join(map(str, self.mistakes)))


@dataclass(frozen=True, slots=True)
class Definitions:
    """The contents of one file: its alerts, and the migrations that it declares."""

    rules: tuple[Rule, ...] = ()
    migrations: tuple[Migration, ...] = ()


def parse(text: str, migrations: Iterable[Migration] = ()) -> tuple[Rule, ...]:
    """Return the rules in `text`, in its order; raises InvalidRules with every mistake if there is any."""
    return parse_definitions(text, migrations).rules


def parse_definitions(text: str, migrations: Iterable[Migration] = ()) -> Definitions:
    """Return the rules and the migrations in `text`; raises InvalidRules with every mistake if there is any.

    The metrics of `migrations`, and of those declared, may be named beside those that are built in.
    """
    mistakes: list[RuleError] = []
    root, registered = _composed(text), tuple(migrations)
    top = children_of(root, "the file", mistakes) if root else {}
    declared = declared_migrations(top, mistakes, registered)
    rules = _rules(top, mistakes, KnownMetrics.with_migrations((*registered, *declared)))
    mistakes += _alpha_errors(rules)
    if mistakes:
        raise InvalidRules(mistakes)
    return Definitions(tuple(rule for rule, _ in rules), declared)


def _composed(text: str) -> yaml.Node | None:
    if len(text) > CHARACTERS_MAX:
        raise InvalidRules([RuleError(1, "alerts", f"the file is longer than {CHARACTERS_MAX} characters.")])
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as broken:
        line = broken.problem_mark.line + 1 if broken.problem_mark else 1
        raise InvalidRules([RuleError(line, "alerts", f"this is not valid YAML: {broken.problem}.")]) from broken
    except yaml.YAMLError as broken:
        first_line = str(broken).splitlines()[0]
        raise InvalidRules([RuleError(1, "alerts", f"this is not valid YAML: {first_line}.")]) from broken
    except RecursionError as broken:
        raise InvalidRules([RuleError(1, "alerts", "this is nested too deeply to be read.")]) from broken


def _rules(top: Children, mistakes: list[RuleError], known: KnownMetrics) -> list[tuple[Rule, int]]:
    """Return every alert that could be read, with its line; what could not be read is added to `mistakes`."""
    for key, (line, _) in top.items():
        if key not in TOP_KEYS:
            mistakes.append(RuleError(line, key, f"unknown key; the keys at the top are {' and '.join(TOP_KEYS)}."))
    if "alerts" not in top:
        mistakes.append(RuleError(1, "alerts", "missing; the file starts with the key alerts and lists them below it."))
        return []
    line, node = top["alerts"]
    alerts = children_of(node, "alerts", mistakes)
    if isinstance(node, yaml.MappingNode) and not 1 <= len(alerts) <= ALERTS_MAX:
        mistakes.append(RuleError(line, "alerts", f"expected 1 to {ALERTS_MAX} alerts, found {len(alerts)}."))
    read = ((_alert(name, line, node, mistakes, known), line) for name, (line, node) in alerts.items())
    return [(rule, line) for rule, line in read if rule]


def _alert(name: str, line: int, node: yaml.Node, mistakes: list[RuleError], known: KnownMetrics) -> Rule | None:
    path = f"alerts.{name}"
    before = len(mistakes)
    if not re.fullmatch(NAME_PATTERN, name):
        mistakes.append(RuleError(line, path, "a name is lower case letters, digits and _, starting with a letter."))
    children = children_of(node, path, mistakes)
    values: dict[str, object] = {}
    for key, (key_line, value) in children.items():
        if key not in FIELDS:
            mistakes.append(RuleError(key_line, f"{path}.{key}", _unknown(key)))
            continue
        try:
            values[key] = FIELDS[key](value)
        except ValueError as refusal:
            mistakes.append(RuleError(key_line, f"{path}.{key}", str(refusal)))
    if isinstance(node, yaml.MappingNode):
        mistakes += [RuleError(line, f"{path}.{key}", "missing.") for key in REQUIRED if key not in children]
    if len(mistakes) > before:
        return None
    for key, expected in _contradictions(name, values, known):
        mistakes.append(RuleError(children[key][0] if key in children else line, f"{path}.{key}", expected))
    return _rule(name, values, known) if len(mistakes) == before else None


def _contradictions(name: str, values: Mapping[str, Any], known: KnownMetrics) -> Iterator[tuple[str, str]]:
    """Yield (key, sentence) for values that are valid alone and contradict each other."""
    metric = known.metric(name, values)
    threshold: quantities.Threshold = values["threshold"]
    if metric is None:
        names = ", ".join(sorted(known.metrics))
        yield "metric", f"nothing is measured under the name {name!r}; name what to measure. Built in are {names}."
        return
    is_built_in = metric in known.metrics.values()
    yield from _threshold_contradictions(metric, threshold, values, is_built_in=is_built_in)
    yield from _metric_contradictions(metric, values, is_built_in=is_built_in)
    owner = known.owners.get(values.get("metric", name))
    if owner and values.get("flag", owner.flag) != owner.flag:
        yield "flag", f"{metric.signal} is counted for {owner.flag}; write that, or leave the flag out."
    if values.get("per") is Per.ACCOUNT:
        yield from _account_contradictions(metric, threshold, values, known)
    if not WINDOW_SECONDS[0] <= values["window"] <= WINDOW_SECONDS[1]:
        yield "window", "a window lasts from 10s to 1d."
    if values.get("for", Decimal(0)) > WINDOW_SECONDS[1]:
        yield "for", "a breach may be waited out for at most 1d."
    if "alpha" in values and "weight" in values:
        yield "weight", "an alert has an alpha of its own or a weight in the common one, not both."
    if not 0 < values.get("alpha", Decimal("0.001")) <= Decimal(str(ATTEMPT_ALPHA)):
        yield "alpha", "an alert's alpha is above 0% and at most the 1% of the whole phase."
    if not values.get("weight", Decimal(1)):
        yield "weight", "a weight is above 0."


def _metric_contradictions(
    metric: Metric, values: Mapping[str, object], *, is_built_in: bool
) -> Iterator[tuple[str, str]]:
    """Yield (key, sentence) for what the metric can't provide."""
    if "query" in values and is_built_in:
        yield "query", f"this program counts {metric.signal} itself; give a metric of another name beside a query."
    if "budget" in values and metric.budget_setting is None:
        names = ", ".join(name for name, each in METRICS.items() if each.budget_setting)
        yield "budget", f"{metric.signal} has no budget that could be used up; only {names} has."
    if metric.notifies_only and values.get("action", Action.NOTIFY) is not Action.NOTIFY:
        yield "action", f"{metric.signal} shows what callers do as well, so an alert on it can only notify."


def _account_contradictions(
    metric: Metric, threshold: quantities.Threshold, values: Mapping[str, Any], known: KnownMetrics
) -> Iterator[tuple[str, str]]:
    """Yield (key, sentence) for what can't be counted by account."""
    if not metric.has_accounts:
        names = ", ".join(sorted(name for name, each in known.metrics.items() if each.has_accounts))
        yield "per", f"the outcomes of {metric.signal} name no account; per account can be {names}."
    if not threshold.amount:
        yield "per", "a tripwire fires at the first bad outcome, whoever's it is; leave per out."
    if values["window"] % HOUR_SECONDS:
        yield "window", "an account counts once an hour, so its window is a number of hours, such as 1h."


def _threshold_contradictions(
    metric: Metric, threshold: quantities.Threshold, values: Mapping[str, Any], *, is_built_in: bool
) -> Iterator[tuple[str, str]]:
    if threshold.unit is not metric.unit:
        example = "a ratio like 1%" if metric.unit is Unit.RATIO else "a duration like 500ms"
        yield "threshold", f"{threshold.text!r} can't bound this measurement, which needs {example}."
    elif threshold.unit is Unit.RATIO and threshold.amount > Decimal(str(HIGHEST_NULL)):
        yield "threshold", f"{threshold.text!r} is above 50%; a rate that high is no alarm."
    elif threshold.unit is Unit.DURATION and not threshold.amount:
        yield "threshold", f"{threshold.text!r} is no time at all; every outcome would be slow."
    compare = values.get("compare", metric.compare)
    if Compare.DISCORDANT in (compare, metric.compare) and threshold.amount != Decimal("0.5"):
        yield "threshold", "discordant pairs are compared with 50%, the share of v2 where both engines fail alike."
    if compare is not metric.compare and (is_built_in or compare is Compare.DISCORDANT):
        yield "compare", f"this measurement can only be compared as {metric.compare}."
    if "quantile" in values and threshold.unit is not Unit.DURATION:
        yield "quantile", "a quantile belongs to a duration; leave it out beside a ratio."
    elif not 50 <= values.get("quantile", DEFAULT_QUANTILE) < 100:
        yield "quantile", "a quantile is at least 50 and below 100, like 95 or 99.9."


def _rule(name: str, values: Mapping[str, Any], known: KnownMetrics) -> Rule:
    metric, threshold = known.metric(name, values), values["threshold"]
    assert metric is not None
    severity = values["severity"]
    slow = threshold.unit is Unit.DURATION
    flag = known.flag(name, values)
    quantile = values.get("quantile", DEFAULT_QUANTILE) if slow else None
    return Rule(
        name=name,
        threshold=float((100 - quantile) / 100 if quantile else threshold.amount),
        threshold_text=threshold.text,
        window_seconds=float(values["window"]),
        severity=severity,
        metric_name=values.get("metric", name),
        metric=metric,
        compare=values.get("compare", metric.compare),
        slow_ms=float(threshold.amount * 1000) if slow else None,
        quantile=float(quantile) if quantile else None,
        action=values.get("action", Action.NOTIFY if metric.notifies_only else ACTIONS[severity]),
        no_data=values.get("no_data", NO_DATA[severity]),
        alpha=float(values["alpha"]) if "alpha" in values else None,
        weight=float(values.get("weight", 1)),
        for_seconds=float(values.get("for", 0)),
        flag=flag,
        environments=values.get("environments", ()),
        query=values.get("query"),
        credits_budget=values.get("budget"),
        per=values.get("per", Per.OPERATION),
        migration=known.migrations.get(flag, CREDITS),
    )


def _alpha_errors(rules: list[tuple[Rule, int]]) -> Iterator[RuleError]:
    """Yield a mistake where alphas of their own don't leave something to the alerts that share."""
    for flag in sorted({rule.flag for rule, _ in rules}):
        acting = [(rule, line) for rule, line in rules if rule.flag == flag and rule.may_roll_back]
        own = [(rule, line) for rule, line in acting if rule.alpha is not None]
        taken = sum(Decimal(str(rule.alpha)) for rule, _ in own)
        spent = taken >= Decimal(str(ATTEMPT_ALPHA)) if len(own) < len(acting) else taken > Decimal(str(ATTEMPT_ALPHA))
        if own and spent:
            rule, line = own[-1]
            expected = f"its alpha leaves nothing of the {ATTEMPT_ALPHA:.0%} of {flag} to the others."
            yield RuleError(line, f"alerts.{rule.name}", expected)


def _unknown(key: str) -> str:
    close = get_close_matches(key, FIELDS, n=1)
    return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known are {', '.join(FIELDS)}."


FIELDS: Mapping[str, Callable[[yaml.Node], object]] = {
    "threshold": lambda node: quantities.parse_threshold(value_parsers.text(node)),
    "window": lambda node: quantities.parse_duration(value_parsers.text(node)),
    "severity": value_parsers.one_of(Severity),
    "metric": value_parsers.name(NAME_PATTERN, "credit_variance"),
    "compare": value_parsers.one_of(Compare),
    "quantile": value_parsers.number,
    "action": value_parsers.one_of(Action),
    "alpha": lambda node: quantities.parse_ratio(value_parsers.text(node)),
    "weight": value_parsers.number,
    "no_data": value_parsers.one_of(NoData),
    "for": lambda node: quantities.parse_duration(value_parsers.text(node)),
    "flag": value_parsers.name(FLAG_PATTERN, CREDITS.flag),
    "query": value_parsers.query,
    "budget": value_parsers.credit_count,
    "environments": value_parsers.environments,
    "per": value_parsers.one_of(Per),
}
