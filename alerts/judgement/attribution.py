"""Whose fault a breach is: what the other engine answered to the same requests tells v2's faults from shared ones."""

from dataclasses import dataclass
from enum import StrEnum
from math import log

from alerts.judgement.evidence import Counts, Evidence, discordant_bet, log_start
from alerts.judgement.metrics import Compare
from alerts.judgement.rules import Rule, bet_of

ALARMING_LOG_E = log(10)
V2_WORSE_LOG_E = log(200)
"""The evidence from discordant pairs at which v2 counts as worse though legacy fails too: 1% between two looks."""
V2_FAILS_TIMES = 4
"""After a clean window of legacy, v2 is to blame if it failed alone over this often for each time legacy failed."""
COVERAGE_NEEDED = 0.9
NO_EVIDENCE = Evidence()


class Attribution(StrEnum):
    """Whose fault a breach is, as far as the other engine's answers to the same requests tell."""

    V2_ONLY = "v2_only"
    SHARED = "shared"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Requests in the alert's window that v2 decided, how many legacy was asked as well, and which engine failed them.

    `legacy_failed` includes the pairs that both failed. `discordant` is the evidence, since the attempt began, of
    `discordant_bet` on the pairs that just one engine failed (bad: v2 did).
    """

    decided: int
    compared: int
    v2_only: int
    legacy_only: int
    legacy_failed: int
    discordant: Evidence = NO_EVIDENCE


def attribute(rule: Rule, evidence: Evidence, pairs: Pairs | None) -> Attribution:
    """Whose fault a breach of `rule` is; unknown while there is nothing to blame anybody for."""
    if evidence.log_e < ALARMING_LOG_E or rule.tripwire:
        return Attribution.UNKNOWN
    if rule.compare is not Compare.ABSOLUTE:
        return Attribution.V2_ONLY
    if not rule.attributable or pairs is None or not pairs.decided:
        return Attribution.UNKNOWN
    if pairs.compared < COVERAGE_NEEDED * pairs.decided:
        return Attribution.UNKNOWN
    return Attribution.V2_ONLY if _v2_alone(rule, evidence, pairs) else Attribution.SHARED


def _v2_alone(rule: Rule, evidence: Evidence, pairs: Pairs) -> bool:
    """Most of v2's failures are its own, and legacy fails so much less that equal engines would not look like this.

    Asked of the last window, which a fault after a long healthy time shows in, and of the whole attempt, which slow
    failures show in. Neither takes background failures of v2 for the cause of an outage that both engines had.
    """
    return _v2_alone_in_window(rule, pairs) or _v2_alone_in_attempt(evidence, pairs)


def _v2_alone_in_window(rule: Rule, pairs: Pairs) -> bool:
    if pairs.v2_only <= pairs.legacy_failed - pairs.legacy_only:
        return False
    if pairs.legacy_failed == 0:
        alarming = log_start(bet_of(rule), Counts(pairs.v2_only, pairs.compared))
        if alarming >= ALARMING_LOG_E:
            return True
    bet = discordant_bet(window_seconds=rule.window_seconds)
    return log_start(bet, Counts(pairs.v2_only, pairs.v2_only + pairs.legacy_only)) >= V2_WORSE_LOG_E


def _v2_alone_in_attempt(evidence: Evidence, pairs: Pairs) -> bool:
    v2_only = pairs.discordant.bad
    both = max(0, evidence.bad - v2_only)
    legacy_failed = both + pairs.discordant.total - v2_only
    if pairs.legacy_failed == 0 and v2_only > V2_FAILS_TIMES * legacy_failed:
        return True
    return v2_only > both and pairs.discordant.log_e >= V2_WORSE_LOG_E
