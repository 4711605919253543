"""`alerts.yaml` as typed rules: what the guard watches, what it counts for each alert, and how alpha is shared."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from math import log

from alerts.analysis.evidence import LN_10, Evidence
from alerts.analysis.metrics import Compare, Metric
from alerts.analysis.sequential_test import (
    DESIGN,
    SequentialTest,
    discordant_test,
    mismatch_test,
    rate_test,
    revisable,
)
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration, SideNames, side_names
from control_plane.signal_names import ACCOUNTS

ATTEMPT_ALPHA = 0.01
"""The chance of one false rollback in an attempt that all alerts of a flag share."""
COHORTS_SHARE = 0.1
"""Of an alert's budget, what its cohorts share where its outcomes name any."""
HOLD_TIMES = 10
"""A false hold may be so many times as likely: 10 % of attempts, all alerts of a flag together."""


class Severity(StrEnum):
    """The severity of a breach; it sets the default action and the response to missing data."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Action(StrEnum):
    """The most the guard does by itself about an alert."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    NOTIFY = "notify"


class NoData(StrEnum):
    """The response to exposed traffic without counts: a rollback after two windows, a hold, or nothing."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    IGNORE = "ignore"


class Per(StrEnum):
    """The unit of an alert's fraction."""

    OPERATION = "operation"
    """Bad outcomes among all outcomes."""
    ACCOUNT = "account"
    """Accounts with at least one bad outcome in an hour, among all accounts of that hour."""


@dataclass(frozen=True, slots=True)
class Query:
    """Prometheus queries for the bad outcomes so far and for all."""

    bad: str
    total: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. `threshold` is the bad rate p0 that evidence is gathered against, whatever unit it was written in."""

    name: str
    threshold: float
    threshold_text: str
    window_seconds: float
    severity: Severity
    metric_name: str
    metric: Metric
    compare: Compare
    slow_ms: float | None
    """An outcome slower than this is bad; None where the threshold is a ratio."""
    quantile: float | None
    """The quantile that the duration bounds; None where the threshold is a ratio."""
    action: Action
    no_data: NoData
    alpha: float | None
    """This alert's own part of the phase's alpha; None leaves it to `weight`."""
    weight: float
    for_seconds: float
    flag: str
    environments: tuple[str, ...]
    """Where the alert acts; empty means everywhere."""
    query: Query | None = None
    """Where the counts come from when it is not this program that counts."""
    credits_budget: int | None = None
    """How many credits a step may cost before an outcome is bad; None leaves it to the metric's setting."""
    per: Per = Per.OPERATION
    migration: Migration = CREDITS
    """By whose counts a breach is attributed: its flag's migration, the credits' for a flag without one."""
    signal: str = field(init=False, compare=False)
    """The name under which its outcomes are counted in its unit."""
    fingerprint: str = field(init=False, compare=False)
    """Changes exactly when stored evidence no longer answers the question that this alert asks."""

    def __post_init__(self) -> None:
        # Asked for many times a tick, and a rule never changes.
        object.__setattr__(self, "signal", self.in_unit(self.metric.signal))
        object.__setattr__(self, "fingerprint", _fingerprint(self))

    @property
    def own_migration(self) -> Migration | None:
        """Return its flag's migration; None for a flag without one."""
        return self.migration if self.flag == self.migration.flag else None

    @property
    def names(self) -> SideNames:
        """Return the names of the two sides, as its sentences have them."""
        return side_names(self.own_migration)

    @property
    def may_roll_back(self) -> bool:
        """Return whether this alert may roll back, and so needs a share of alpha."""
        return self.action is Action.ROLLBACK

    @property
    def threshold_sentence(self) -> str:
        """The threshold in words: `1%`, `1% of the users of an hour`, `5% slower than 500ms` and the like."""
        if self.credits_budget is not None:
            return f"{self.threshold_text} above {self.credits_budget:,} credits"
        if self.by_account:
            return f"{self.threshold_text} of the users of an hour"
        if self.slow_ms is None:
            return self.threshold_text
        return f"{self.threshold * 100:.3g}% slower than {self.threshold_text}"

    @property
    def tripwire(self) -> bool:
        """A threshold of zero: the first bad outcome decides."""
        return self.threshold == 0

    @property
    def by_account(self) -> bool:
        """Return whether it counts accounts by the hour in place of operations."""
        return self.per is Per.ACCOUNT

    def in_unit(self, signal: str) -> str:
        """Return the name under which `signal` is counted in this alert's unit."""
        return signal + ACCOUNTS if self.by_account else signal

    @property
    def has_cohorts(self) -> bool:
        """Return whether the same is watched in each cohort; those are counted by operation."""
        return self.metric.has_cohorts

    @property
    def in_operations(self) -> "Rule":
        """Return the rule as one that counts operations, as cohorts are counted."""
        return replace(self, per=Per.OPERATION) if self.by_account else self

    @property
    def signals(self) -> tuple[str, ...]:
        """The signals whose counts it is judged by."""
        own = self.signal
        return (own, self.migration.signals.failed_control_only) if self.compare is Compare.DISCORDANT else (own,)

    @property
    def attributable(self) -> bool:
        """Return whether the other engine's answers to the same requests can tell whose fault a breach is."""
        return self.metric.control_twin and self.compare is Compare.ABSOLUTE

    @property
    def counts_around_engines(self) -> bool:
        """Return whether it counts requests that failed around an engine as well, and each request once."""
        return (self.metric.served_only or self.metric.engine_unknown) and not self.by_account

    @property
    def needs_pairs(self) -> bool:
        """Return whether attribution by pairs of answers decides what a breach leads to."""
        return self.attributable or (self.metric.engine_unknown and self.own_migration is not None)

    @property
    def no_data_notice_seconds(self) -> float:
        """Return the seconds without traffic after which people are told."""
        return max(3 * self.window_seconds, 900.0)


def rule_test(rule: Rule, *, burst_size: float = 1.0) -> SequentialTest:
    """Return the test to `step` this rule's evidence with, where failures come in bursts of this mean size."""
    match rule.compare:
        case Compare.ABSOLUTE | Compare.DRIFT:
            test = rate_test(rule.threshold, window_seconds=rule.window_seconds, burst_size=burst_size)
        case Compare.PAIRED:
            test = mismatch_test(rule.threshold, window_seconds=rule.window_seconds, burst_size=burst_size)
        case Compare.DISCORDANT:
            return discordant_test(window_seconds=rule.window_seconds)
    return revisable(test) if rule.by_account else test


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """The chances that an alert acts wrongly in an attempt at the thresholds; None where it never acts."""

    rollback: float | None
    hold: float | None
    cohorts: float = 0.0
    """What all cohorts of the alert have together, in parts of the above; 0 where it has none."""

    def of_cohort(self, weight: float) -> "ErrorBudget":
        """Return the budget of one cohort, whose `weight` is its part of what all of them have."""
        part = self.cohorts * weight
        return ErrorBudget(self.rollback and self.rollback * part, self.hold and self.hold * part)

    @property
    def rollback_log_e(self) -> float | None:
        """Return the evidence, as ln E, at which it rolls back."""
        return -log(self.rollback) if self.rollback else None

    @property
    def rollback_log10(self) -> float | None:
        """Return that evidence as a power of ten, as shown to people."""
        return None if self.rollback_log_e is None else self.rollback_log_e / LN_10

    @property
    def hold_log10(self) -> float | None:
        """Return the evidence, as a power of ten, at which it holds; None for one that never does."""
        return None if self.hold is None else self.hold_log_e / LN_10

    def is_reached_by(self, evidence: Evidence) -> bool:
        """Return whether `evidence` is enough for a rollback."""
        return self.rollback_log_e is not None and evidence.log_e >= self.rollback_log_e

    @property
    def hold_log_e(self) -> float:
        """Return the evidence, as ln E, at which it holds; one that only notifies says so as one that stands alone."""
        return -log(self.hold or HOLD_TIMES * ATTEMPT_ALPHA)


def error_budgets(rules: Iterable[Rule]) -> dict[str, ErrorBudget]:
    """Divide what the alerts of each flag may do wrongly together, by name of the alert."""
    rules = list(rules)
    rollback = alphas(rules)
    hold = _shares([rule for rule in rules if rule.action is not Action.NOTIFY])
    return {rule.name: _budget(rule, rollback.get(rule.name), hold.get(rule.name)) for rule in rules}


def _budget(rule: Rule, rollback: float | None, hold: float | None) -> ErrorBudget:
    # Of an alert per account a cohort explains a breach at most: operations are no part of accounts.
    share = COHORTS_SHARE if rule.has_cohorts and not rule.tripwire and not rule.by_account else 0.0
    own = 1 - share
    return ErrorBudget(rollback and rollback * own, hold and HOLD_TIMES * hold * own, share / own)


def alphas(rules: Iterable[Rule]) -> dict[str, float]:
    """Return the chance of a wrong rollback that each acting alert has, by name."""
    return _shares([rule for rule in rules if rule.may_roll_back])


def _shares(acting: list[Rule]) -> dict[str, float]:
    """Give each alert its own alpha, or its weight's share of what the others of its flag leave."""
    shares = {rule.name: rule.alpha for rule in acting if rule.alpha is not None}
    by_flag: dict[str, list[Rule]] = {}
    for rule in acting:
        by_flag.setdefault(rule.flag, []).append(rule)
    for rules in by_flag.values():
        taken = sum(rule.alpha or 0.0 for rule in rules)
        sharing = [rule for rule in rules if rule.alpha is None]
        weights = sum(rule.weight for rule in sharing)
        shares |= {rule.name: (ATTEMPT_ALPHA - taken) * rule.weight / weights for rule in sharing}
    return shares


def fingerprint(rules: Iterable[Rule]) -> str:
    """Return a digest of the rule set, which changes with any alert's question or with the set."""
    return sha256(" ".join(sorted(rule.fingerprint for rule in rules)).encode()).hexdigest()[:16]


def _fingerprint(rule: Rule) -> str:
    unit = rule.per if rule.by_account else None
    optional = tuple(each for each in (rule.query, rule.credits_budget, unit) if each is not None)
    thresholds = (rule.threshold, rule.slow_ms, rule.window_seconds)
    question = (rule.name, rule.metric_name, rule.compare, *thresholds, *optional)
    return sha256(repr((DESIGN, rule.flag, *question)).encode()).hexdigest()[:16]
