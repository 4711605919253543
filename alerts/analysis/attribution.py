"""Attribution of a breach: the other engine's answers to the same requests tell v2's faults from shared ones."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, lgamma, log

from alerts.analysis.evidence import Counts, Evidence
from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Rule, rule_test
from alerts.analysis.sequential_test import discordant_test, log_start, log_sum_exp

ALARMING_LOG_E = log(10)
V2_WORSE_LOG_E = log(200)
"""The evidence from discordant pairs at which v2 counts as worse though legacy fails too: 1% between two looks."""
V2_FAILS_TIMES = 4
"""After a clean window of legacy, v2 is to blame if it failed alone over this often for each time legacy failed."""
COVERAGE_NEEDED = 0.9
WORSE_TIMES = (2.0, 5.0, 20.0)
"""By how much v2's odds to fail may be higher than legacy's, where different requests are compared."""
EXACT_MAX = 50
"""More failures of legacy than this are told from chance without the exact test."""
NO_EVIDENCE, NO_COUNTS = Evidence(), Counts()


class Attribution(StrEnum):
    """The engine at fault, as far as the other engine's answers to the same requests tell."""

    V2_ONLY = "v2_only"
    SHARED = "shared"
    LEGACY = "legacy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Requests in the alert's window that v2 decided, how many legacy was asked as well, and which engine failed them.

    `legacy_failed` includes the pairs that both failed. `discordant` is the evidence, since the attempt began, of
    `discordant_test` on the pairs that just one engine failed (bad: v2 did).
    """

    decided: int
    compared: int
    v2_only: int
    legacy_only: int
    legacy_failed: int
    discordant: Evidence = NO_EVIDENCE

    @property
    def covered(self) -> bool:
        """Return whether legacy was asked nearly everything that v2 was."""
        return self.decided > 0 and self.compared >= COVERAGE_NEEDED * self.decided

    @property
    def both_failed(self) -> int:
        """Requests that both engines failed."""
        return self.legacy_failed - self.legacy_only


@dataclass(frozen=True, slots=True)
class Arms:
    """The alert's counts in its window, of requests that v2 answered and of those that legacy answered."""

    v2: Counts = NO_COUNTS
    legacy: Counts = NO_COUNTS

    @property
    def legacy_worse(self) -> bool:
        """Legacy fails more often than v2."""
        return self.legacy.rate > self.v2.rate

    @property
    def log_v2_worse(self) -> float:
        """The evidence that a failure hits v2 more often than its share of the requests makes it.

        Each alternative is a likelihood ratio of one coin: whose request failed, given that one did.
        """
        total = self.v2.total + self.legacy.total
        if not self.v2.total or not self.legacy.total:
            return 0.0
        share = self.v2.total / total
        gains = []
        for times in WORSE_TIMES:
            expected = times * share / (times * share + 1 - share)
            gains.append(self.v2.bad * log(expected / share) + self.legacy.bad * log((1 - expected) / (1 - share)))
        return max(*gains, self._log_exact) - log(len(WORSE_TIMES))

    @property
    def _log_exact(self) -> float:
        """Apply Fisher's exact test: how unlikely are so few failures of legacy where either fails alike, as -ln p?

        The coins above take failures to be rare; this one knows that a good answer is evidence as well.
        """
        if self.legacy_worse or self.legacy.bad > EXACT_MAX:
            return 0.0
        total, bad = self.v2.total + self.legacy.total, self.v2.bad + self.legacy.bad
        all_ways = _log_comb(total, self.legacy.total)
        ways = [
            _log_comb(bad, each) + _log_comb(total - bad, self.legacy.total - each)
            for each in range(self.legacy.bad + 1)
        ]
        return all_ways - log_sum_exp(ways)


def _log_comb(total: int, chosen: int) -> float:
    """Return ln of the number of ways to choose, minus infinity where there is none."""
    if not 0 <= chosen <= total:
        return -inf
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


NO_ARMS = Arms()


def attribute(
    rule: Rule, evidence: Evidence, pairs: Pairs | None, arms: Arms = NO_ARMS, attempt: Arms = NO_ARMS
) -> Attribution:
    """Name the engine at fault for a breach of `rule`; unknown while nothing blames either.

    `pairs` and `arms` are those of the window, `attempt` the arms since the attempt began.
    """
    if evidence.log_e < ALARMING_LOG_E or (rule.tripwire and not rule.metric.engine_unknown):
        return Attribution.UNKNOWN
    if rule.metric.engine_unknown or rule.metric.served_only:
        return _of_service(rule, pairs, arms) if rule.metric.engine_unknown else _of_served(rule, pairs, arms, attempt)
    if rule.compare is not Compare.ABSOLUTE:
        return Attribution.V2_ONLY
    if not rule.attributable or pairs is None or not pairs.covered:
        return _beside_legacy(arms)
    if pairs.legacy_only > pairs.v2_only:
        return Attribution.SHARED if pairs.both_failed >= pairs.legacy_only else Attribution.LEGACY
    return Attribution.V2_ONLY if _only_v2(rule, evidence, pairs) else Attribution.SHARED


def _of_service(rule: Rule, pairs: Pairs | None, arms: Arms) -> Attribution:
    """Of a breach that concerns the whole service: only what the engines count of themselves can blame one of them."""
    if _is_explained_by_pairs(pairs, arms):
        return Attribution.SHARED
    if arms.legacy_worse or (pairs is not None and pairs.legacy_only > pairs.v2_only):
        return Attribution.LEGACY
    if pairs is not None and pairs.covered and _only_v2_fails(rule, pairs):
        return Attribution.V2_ONLY
    if arms.legacy.rate <= rule.threshold and arms.log_v2_worse >= V2_WORSE_LOG_E:
        return Attribution.V2_ONLY
    both = pairs is not None and pairs.both_failed > 0
    return Attribution.SHARED if both or arms.legacy.bad else Attribution.UNKNOWN


def _of_served(rule: Rule, pairs: Pairs | None, arms: Arms, attempt: Arms) -> Attribution:
    """Of what v2 failed where it served, in its engine or around it: what legacy served is held against it.

    Around the engine no pair exists, and few requests may be served by either.
    """
    if _is_explained_by_pairs(pairs, arms):
        return Attribution.SHARED
    if arms.legacy_worse:
        return Attribution.LEGACY
    if arms.legacy.rate <= rule.threshold and arms.log_v2_worse >= V2_WORSE_LOG_E:
        return Attribution.V2_ONLY
    if pairs is not None and pairs.covered and _only_v2_in_window(rule, pairs):
        return Attribution.V2_ONLY
    # Failures that come slowly show in the attempt. Where they come fast, legacy's earlier ones excuse nothing.
    slow = arms.legacy.total > 0 and log_start(rule_test(rule), arms.v2) < ALARMING_LOG_E
    if slow and attempt.legacy.rate <= rule.threshold and attempt.log_v2_worse >= V2_WORSE_LOG_E:
        return Attribution.V2_ONLY
    alike = [_beside_legacy(arms), *([_beside_legacy(attempt)] if slow else [])]
    return Attribution.SHARED if {*alike} != {Attribution.UNKNOWN} else Attribution.UNKNOWN


def _is_explained_by_pairs(pairs: Pairs | None, arms: Arms) -> bool:
    """Return whether most of what failed are requests that both engines failed: whom each of them served is chance."""
    failed = arms.v2.bad + arms.legacy.bad
    return pairs is not None and 0 < failed <= 2 * pairs.both_failed


def _only_v2_fails(rule: Rule, pairs: Pairs) -> bool:
    """Return whether the pairs of the window blame v2 beyond doubt, where they are the only evidence."""
    if pairs.v2_only <= pairs.both_failed:
        return False
    if pairs.legacy_failed == 0:
        return log_start(rule_test(rule), Counts(pairs.v2_only, pairs.compared)) >= V2_WORSE_LOG_E
    paired_test = discordant_test(window_seconds=rule.window_seconds)
    return log_start(paired_test, Counts(pairs.v2_only, pairs.v2_only + pairs.legacy_only)) >= V2_WORSE_LOG_E


def _beside_legacy(arms: Arms) -> Attribution:
    """Of a breach of v2's own count that legacy's answers to the same requests don't explain: its other ones may."""
    if arms.legacy_worse:
        return Attribution.LEGACY
    return Attribution.SHARED if V2_FAILS_TIMES * arms.legacy.rate >= arms.v2.rate > 0 else Attribution.UNKNOWN


def _only_v2(rule: Rule, evidence: Evidence, pairs: Pairs) -> bool:
    """Return whether v2's failures are mostly its own, and legacy fails too little for the engines to be equal.

    Asked of the last window, which a fault after a long healthy time shows in, and of the whole attempt, which slow
    failures show in. Neither takes background failures of v2 for the cause of an outage that both engines had.
    """
    return _only_v2_in_window(rule, pairs) or _only_v2_in_attempt(evidence, pairs)


def _only_v2_in_window(rule: Rule, pairs: Pairs) -> bool:
    if pairs.v2_only <= pairs.both_failed:
        return False
    if pairs.legacy_failed == 0:
        alarming = log_start(rule_test(rule), Counts(pairs.v2_only, pairs.compared))
        if alarming >= ALARMING_LOG_E:
            return True
    paired_test = discordant_test(window_seconds=rule.window_seconds)
    return log_start(paired_test, Counts(pairs.v2_only, pairs.v2_only + pairs.legacy_only)) >= V2_WORSE_LOG_E


def _only_v2_in_attempt(evidence: Evidence, pairs: Pairs) -> bool:
    v2_only = pairs.discordant.bad
    both = max(0, evidence.bad - v2_only)
    legacy_failed = both + pairs.discordant.total - v2_only
    if pairs.legacy_failed == 0 and v2_only > V2_FAILS_TIMES * legacy_failed:
        return True
    return v2_only > both and pairs.discordant.log_e >= V2_WORSE_LOG_E
