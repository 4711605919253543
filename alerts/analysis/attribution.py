"""Attribution of a breach: the other engine's answers to the same requests tell whose fault it is."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf, lgamma, log

from alerts.analysis.evidence import Evidence
from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Rule, rule_test
from alerts.analysis.sequential_test import discordant_test, log_start, log_sum_exp
from control_plane.signal_counts import Counts

ALARMING_LOG_E = log(10)
CANDIDATE_WORSE_LOG_E = log(200)
"""The evidence from discordant pairs at which the candidate counts as worse though both fail: 1% between two looks."""
CANDIDATE_FAILS_TIMES = 4
"""After a clean window of the control, the candidate is to blame if it failed alone so often per failure of both."""
COVERAGE_NEEDED = 0.9
WORSE_TIMES = (2.0, 5.0, 20.0)
"""By how much the candidate's odds to fail may be higher than the control's, where different requests are compared."""
EXACT_MAX = 50
"""More failures of the control than this are told from chance without the exact test."""
NO_EVIDENCE, NO_COUNTS = Evidence(), Counts()


class Attribution(StrEnum):
    """The engine at fault, as far as the other engine's answers to the same requests tell."""

    CANDIDATE_ONLY = "v2_only"
    SHARED = "shared"
    CONTROL = "legacy"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Requests in the alert's window that the candidate decided, how many the control was asked too, and who failed.

    `control_failed` includes the pairs that both failed. `discordant` is the evidence, since the attempt began, of
    `discordant_test` on the pairs that just one engine failed (bad: the candidate did).
    """

    decided: int
    compared: int
    candidate_only: int
    control_only: int
    control_failed: int
    discordant: Evidence = NO_EVIDENCE

    @property
    def covered(self) -> bool:
        """Return whether the control was asked nearly everything that the candidate was."""
        return self.decided > 0 and self.compared >= COVERAGE_NEEDED * self.decided

    @property
    def both_failed(self) -> int:
        """Requests that both engines failed."""
        return self.control_failed - self.control_only


@dataclass(frozen=True, slots=True)
class Arms:
    """The alert's counts in its window, of what the candidate answered and of what the control answered."""

    candidate: Counts = NO_COUNTS
    control: Counts = NO_COUNTS

    @property
    def control_worse(self) -> bool:
        """The control fails more often than the candidate."""
        return self.control.rate > self.candidate.rate

    @property
    def log_candidate_worse(self) -> float:
        """The evidence that a failure hits the candidate more often than its share of the requests makes it.

        Each alternative is a likelihood ratio of one coin: whose request failed, given that one did.
        """
        total = self.candidate.total + self.control.total
        if not self.candidate.total or not self.control.total:
            return 0.0
        share = self.candidate.total / total
        gains = []
        for times in WORSE_TIMES:
            expected = times * share / (times * share + 1 - share)
            gains.append(
                self.candidate.bad * log(expected / share) + self.control.bad * log((1 - expected) / (1 - share))
            )
        return max(*gains, self._log_exact) - log(len(WORSE_TIMES))

    @property
    def _log_exact(self) -> float:
        """Apply Fisher's exact test: how unlikely are so few failures of the control if both fail alike, as -ln p?

        The coins above take failures to be rare; this one knows that a good answer is evidence as well.
        """
        if self.control_worse or self.control.bad > EXACT_MAX:
            return 0.0
        total, bad = self.candidate.total + self.control.total, self.candidate.bad + self.control.bad
        all_ways = _log_comb(total, self.control.total)
        ways = [
            _log_comb(bad, each) + _log_comb(total - bad, self.control.total - each)
            for each in range(self.control.bad + 1)
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
        return Attribution.CANDIDATE_ONLY
    if not rule.attributable or pairs is None or not pairs.covered:
        return _by_unpaired_requests(arms)
    if pairs.control_only > pairs.candidate_only:
        return Attribution.SHARED if pairs.both_failed >= pairs.control_only else Attribution.CONTROL
    return Attribution.CANDIDATE_ONLY if _is_candidate_to_blame(rule, evidence, pairs) else Attribution.SHARED


def _of_service(rule: Rule, pairs: Pairs | None, arms: Arms) -> Attribution:
    """Attribute a breach that concerns the whole service: only what the engines count of themselves can blame one."""
    if _is_explained_by_pairs(pairs, arms):
        return Attribution.SHARED
    if arms.control_worse or (pairs is not None and pairs.control_only > pairs.candidate_only):
        return Attribution.CONTROL
    if pairs is not None and pairs.covered and _only_candidate_fails(rule, pairs):
        return Attribution.CANDIDATE_ONLY
    if arms.control.rate <= rule.threshold and arms.log_candidate_worse >= CANDIDATE_WORSE_LOG_E:
        return Attribution.CANDIDATE_ONLY
    both = pairs is not None and pairs.both_failed > 0
    return Attribution.SHARED if both or arms.control.bad else Attribution.UNKNOWN


def _of_served(rule: Rule, pairs: Pairs | None, arms: Arms, attempt: Arms) -> Attribution:
    """Attribute what the candidate failed where it served, in its engine or around it, beside what the control served.

    Around the engine no pair exists, and few requests may be served by either.
    """
    if _is_explained_by_pairs(pairs, arms):
        return Attribution.SHARED
    if arms.control_worse:
        return Attribution.CONTROL
    if arms.control.rate <= rule.threshold and arms.log_candidate_worse >= CANDIDATE_WORSE_LOG_E:
        return Attribution.CANDIDATE_ONLY
    if pairs is not None and pairs.covered and _only_candidate_in_window(rule, pairs):
        return Attribution.CANDIDATE_ONLY
    # Failures that come slowly show in the attempt. Where they come fast, the control's earlier ones excuse nothing.
    slow = arms.control.total > 0 and log_start(rule_test(rule), arms.candidate) < ALARMING_LOG_E
    if slow and attempt.control.rate <= rule.threshold and attempt.log_candidate_worse >= CANDIDATE_WORSE_LOG_E:
        return Attribution.CANDIDATE_ONLY
    alike = [_by_unpaired_requests(arms), *([_by_unpaired_requests(attempt)] if slow else [])]
    return Attribution.SHARED if {*alike} != {Attribution.UNKNOWN} else Attribution.UNKNOWN


def _is_explained_by_pairs(pairs: Pairs | None, arms: Arms) -> bool:
    """Return whether most of what failed are requests that both engines failed: whom each of them served is chance."""
    failed = arms.candidate.bad + arms.control.bad
    return pairs is not None and 0 < failed <= 2 * pairs.both_failed


def _only_candidate_fails(rule: Rule, pairs: Pairs) -> bool:
    """Return whether the pairs of the window blame the candidate beyond doubt, where they are the only evidence."""
    if pairs.candidate_only <= pairs.both_failed:
        return False
    if pairs.control_failed == 0:
        return log_start(rule_test(rule), Counts(pairs.candidate_only, pairs.compared)) >= CANDIDATE_WORSE_LOG_E
    paired_test = discordant_test(window_seconds=rule.window_seconds)
    return (
        log_start(paired_test, Counts(pairs.candidate_only, pairs.candidate_only + pairs.control_only))
        >= CANDIDATE_WORSE_LOG_E
    )


def _by_unpaired_requests(arms: Arms) -> Attribution:
    """Attribute a breach that pairs don't explain by other requests than the pairs."""
    if arms.control_worse:
        return Attribution.CONTROL
    return (
        Attribution.SHARED
        if CANDIDATE_FAILS_TIMES * arms.control.rate >= arms.candidate.rate > 0
        else Attribution.UNKNOWN
    )


def _is_candidate_to_blame(rule: Rule, evidence: Evidence, pairs: Pairs) -> bool:
    """Return whether the candidate's failures are mostly its own, and the control fails too little to be its equal.

    Asked of the last window, which a fault after a long healthy time shows in, and of the whole attempt, which slow
    failures show in. Neither takes background failures of the candidate for the cause of an outage of both.
    """
    return _only_candidate_in_window(rule, pairs) or _only_candidate_in_attempt(evidence, pairs)


def _only_candidate_in_window(rule: Rule, pairs: Pairs) -> bool:
    if pairs.candidate_only <= pairs.both_failed:
        return False
    if pairs.control_failed == 0:
        alarming = log_start(rule_test(rule), Counts(pairs.candidate_only, pairs.compared))
        if alarming >= ALARMING_LOG_E:
            return True
    paired_test = discordant_test(window_seconds=rule.window_seconds)
    return (
        log_start(paired_test, Counts(pairs.candidate_only, pairs.candidate_only + pairs.control_only))
        >= CANDIDATE_WORSE_LOG_E
    )


def _only_candidate_in_attempt(evidence: Evidence, pairs: Pairs) -> bool:
    candidate_only = pairs.discordant.bad
    both = max(0, evidence.bad - candidate_only)
    control_failed = both + pairs.discordant.total - candidate_only
    if pairs.control_failed == 0 and candidate_only > CANDIDATE_FAILS_TIMES * control_failed:
        return True
    return candidate_only > both and pairs.discordant.log_e >= CANDIDATE_WORSE_LOG_E
