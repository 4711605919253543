"""Attribution of a breach: the other engine's answers to the same requests tell v2's faults from shared ones."""

from dataclasses import dataclass
from enum import StrEnum
from math import log

from alerts.analysis.evidence import Counts, Evidence
from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Rule, rule_test
from alerts.analysis.sequential_test import discordant_test, log_start

ALARMING_LOG_E = log(10)
V2_WORSE_LOG_E = log(200)
"""The evidence from discordant pairs at which v2 counts as worse though legacy fails too: 1% between two looks."""
V2_FAILS_TIMES = 4
"""After a clean window of legacy, v2 is to blame if it failed alone over this often for each time legacy failed."""
COVERAGE_NEEDED = 0.9
WORSE_TIMES = (2.0, 5.0, 20.0)
"""By how much v2's odds to fail may be higher than legacy's, where different requests are compared."""
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
        return max(gains) - log(len(WORSE_TIMES))


NO_ARMS = Arms()


def attribute(rule: Rule, evidence: Evidence, pairs: Pairs | None, arms: Arms = NO_ARMS) -> Attribution:
    """Name the engine at fault for a breach of `rule`; unknown while nothing blames either."""
    if evidence.log_e < ALARMING_LOG_E or (rule.tripwire and not rule.metric.engine_unknown):
        return Attribution.UNKNOWN
    if rule.metric.engine_unknown:
        return _of_service(rule, pairs, arms)
    if rule.compare is not Compare.ABSOLUTE:
        return Attribution.V2_ONLY
    if not rule.attributable or pairs is None or not pairs.covered:
        return _beside_legacy(arms)
    if pairs.legacy_only > pairs.v2_only:
        return Attribution.LEGACY
    return Attribution.V2_ONLY if _only_v2(rule, evidence, pairs) else Attribution.SHARED


def _of_service(rule: Rule, pairs: Pairs | None, arms: Arms) -> Attribution:
    """Of a breach that concerns the whole service: only what the engines count of themselves can blame one of them."""
    if arms.legacy_worse or (pairs is not None and pairs.legacy_only > pairs.v2_only):
        return Attribution.LEGACY
    if pairs is not None and pairs.covered and _only_v2_fails(rule, pairs):
        return Attribution.V2_ONLY
    if arms.legacy.rate <= rule.threshold and arms.log_v2_worse >= V2_WORSE_LOG_E:
        return Attribution.V2_ONLY
    both = pairs is not None and pairs.both_failed > 0
    return Attribution.SHARED if both or arms.legacy.bad else Attribution.UNKNOWN


def _only_v2_fails(rule: Rule, pairs: Pairs) -> bool:
    """Return whether the pairs of the window blame v2 beyond doubt, where they are the only evidence."""
    if pairs.v2_only <= pairs.both_failed:
        return False
    if pairs.legacy_failed == 0:
        return log_start(rule_test(rule), Counts(pairs.v2_only, pairs.compared)) >= V2_WORSE_LOG_E
    bet = discordant_test(window_seconds=rule.window_seconds)
    return log_start(bet, Counts(pairs.v2_only, pairs.v2_only + pairs.legacy_only)) >= V2_WORSE_LOG_E


def _beside_legacy(arms: Arms) -> Attribution:
    """Of a breach of v2's own count that legacy's answers to the same requests don't explain: its other ones may."""
    if arms.legacy_worse:
        return Attribution.LEGACY
    return Attribution.SHARED if V2_FAILS_TIMES * arms.legacy.rate >= arms.v2.rate > 0 else Attribution.UNKNOWN


def _only_v2(rule: Rule, evidence: Evidence, pairs: Pairs) -> bool:
    """Most of v2's failures are its own, and legacy fails so much less that equal engines would not look like this.

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
    bet = discordant_test(window_seconds=rule.window_seconds)
    return log_start(bet, Counts(pairs.v2_only, pairs.v2_only + pairs.legacy_only)) >= V2_WORSE_LOG_E


def _only_v2_in_attempt(evidence: Evidence, pairs: Pairs) -> bool:
    v2_only = pairs.discordant.bad
    both = max(0, evidence.bad - v2_only)
    legacy_failed = both + pairs.discordant.total - v2_only
    if pairs.legacy_failed == 0 and v2_only > V2_FAILS_TIMES * legacy_failed:
        return True
    return v2_only > both and pairs.discordant.log_e >= V2_WORSE_LOG_E
