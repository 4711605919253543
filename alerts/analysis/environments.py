"""The alerts of a rollout of one environment: those of its flag, over what that environment alone counts. Pure.

An alert judges it where it counts what the flag's migration does, for that says where it comes from; what is counted of
the whole service, of books and of billing does not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from alerts.analysis.rules import Action, Rule
from control_plane.rollout_names import PRODUCTION, SEPARATOR, environment_of, flag_of
from control_plane.signal_names import in_environment


def alert_name(name: str, rollout: str) -> str:
    """Return what an alert of this name is called where it judges the rollout."""
    environment = environment_of(rollout)
    return f"{name}{SEPARATOR}{environment}" if environment else name


def base_alert(name: str) -> str:
    """Return what the same alert is called where it judges a flag's own rollout."""
    return name.partition(SEPARATOR)[0]


def applicable(rules: Sequence[Rule], name: str) -> list[Rule]:
    """Return the rules that judge the rollout of this name, each by what its environment shows."""
    environment = environment_of(name)
    ours = [rule for rule in rules if rule.flag == flag_of(name) and _is_watched(rule, environment or PRODUCTION)]
    return [_of_environment(rule, name, environment) for rule in ours if _is_separable(rule)] if environment else ours


def alerts_of_production(rules: Sequence[Rule], name: str) -> list[str]:
    """Return the alerts that say nothing of the rollout of one environment: they judge production alone."""
    if environment_of(name) is None:
        return []
    ours = (rule for rule in rules if rule.flag == flag_of(name) and _is_watched(rule, PRODUCTION))
    return [rule.name for rule in ours if rule.action is not Action.NOTIFY and not _is_separable(rule)]


def without_rollout(rules: Iterable[Rule], names: Iterable[str]) -> list[Rule]:
    """Return the rules of flags of which no rollout is among `names`, so that nothing is judged by them."""
    flags = {flag_of(name) for name in names}
    return [rule for rule in rules if rule.flag not in flags]


def with_environments(rules: Sequence[Rule], names: Iterable[str]) -> Sequence[Rule]:
    """Return `rules` and those of the rollouts of single environments among `names`."""
    added = [rule for name in names if environment_of(name) for rule in applicable(rules, name)]
    return [*rules, *added] if added else rules


def _is_watched(rule: Rule, environment: str) -> bool:
    return not rule.environments or environment in rule.environments


def _is_separable(rule: Rule) -> bool:
    return rule.own_migration is not None and rule.metric.signal in rule.migration.signals.all


def _of_environment(rule: Rule, name: str, environment: str) -> Rule:
    return replace(
        rule,
        name=alert_name(rule.name, name),
        flag=name,
        metric=replace(rule.metric, signal=in_environment(rule.metric.signal, environment)),
        migration=rule.migration.in_environment(environment),
    )
