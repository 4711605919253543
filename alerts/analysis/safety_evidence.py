"""What one alert shows of a release's safety, in figures and as sentences for the gate. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.analysis.evidence import LN_10
from alerts.analysis.rules import Rule
from alerts.analysis.safety_test import (
    SAFE_LOG_E,
    chance_above,
    clean_outcomes_needed,
    is_above,
    is_worse,
    log_safe,
    outcomes_for_chance,
)
from alerts.analysis.verdicts import bad_of
from control_plane.signal_counts import Counts

DAY_SECONDS = 86_400
FEWEST_SECONDS = 600
"""A shorter step says nothing of its traffic."""
LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True)
class Certificate:
    """The result of a safety test: is the rate below the threshold, and if not, how many good outcomes are missing."""

    granted: bool
    log10: float
    clean_outcomes_needed: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class SafetyEvidence:
    """What one alert shows: the certificate, the chance that it is wrong to go on, and whether the step got worse."""

    alert: str
    certificate: Certificate
    chance: float
    """That the rate is above the threshold."""
    risk: float | None
    """The chance that the plan takes; None where it asks for the certificate."""
    is_worse: bool
    """The step is worse than the attempt before it."""
    is_above: bool
    """The step is likely above the threshold by itself."""
    reason: str

    @property
    def is_sufficient(self) -> bool:
        """Return whether the step may be left as far as this alert is concerned."""
        is_certified = self.certificate.granted or (self.risk is not None and self.chance <= self.risk)
        return is_certified and not self.is_worse and not self.is_above

    def to_json(self) -> dict[str, object]:
        """Return the figures as plain JSON values."""
        return {
            "shown_safe": self.certificate.granted,
            "evidence_log10": round(self.certificate.log10, 2),
            "good_outcomes_needed": self.certificate.clean_outcomes_needed,
            "chance_above_threshold": round(self.chance, 4),
            "accepted_chance": self.risk,
            "worse_than_before_this_step": self.is_worse,
            "above_threshold_in_this_step": self.is_above,
        }


def safety_evidence(
    rule: Rule, before: Counts, during: Counts, *, seconds: float, risk: float | None, now: datetime
) -> SafetyEvidence:
    """Judge the outcomes of an attempt `before` its present step and `during` it, which has run for `seconds`."""
    counts = before + during
    certified, chance = certificate(rule, counts), chance_above(rule.threshold, counts)
    worse, above = is_worse(rule.threshold, before, during), is_above(rule.threshold, during)
    if worse:
        said = f"worse in this step ({bad_of(during, rule.per)}) than before it ({bad_of(before, rule.per)})."
    elif above:
        said = f"likely above {rule.threshold_sentence} in this step: bad were {bad_of(during, rule.per)}."
    else:
        taken = "" if risk is None else f", and the plan takes {risk:.0%}"
        chances = (
            f" The chance that it is above {rule.threshold_sentence} is {chance:.1%}{taken}." if counts.total else ""
        )
        due = (
            "" if certified.granted else _due(rule, counts, certified, risk, per_day=_per_day(during, seconds), now=now)
        )
        said = f"{certified.reason}{due}{chances}"
    return SafetyEvidence(rule.name, certified, chance, risk, worse, above, f"{rule.name}: {said}")


def certificate(rule: Rule, counts: Counts) -> Certificate:
    """Test whether `counts` show the rate to be below the threshold, wrong at most one time in twenty."""
    log_e = log_safe(rule.threshold, counts)
    needed = clean_outcomes_needed(rule.threshold, counts)
    match needed:
        case None:
            reason = "A threshold of zero can't be shown to hold; it only trips."
        case 0:
            reason = f"Shown to be below {rule.threshold_sentence}: {bad_of(counts, rule.per)} were bad."
        case more:
            figures = f"{bad_of(counts, rule.per)} were bad; {more:,} more good ones would show it"
            if not counts.total:
                figures = f"nothing was counted; {more:,} good ones would show it"
            reason = f"Not shown yet to be below {rule.threshold_sentence}: {figures}."
    return Certificate(log_e >= SAFE_LOG_E, log_e / LN_10, needed, reason)


def _per_day(during: Counts, seconds: float) -> float:
    return during.total / seconds * DAY_SECONDS if seconds >= FEWEST_SECONDS else 0.0


def _due(
    rule: Rule, counts: Counts, certified: Certificate, risk: float | None, *, per_day: float, now: datetime
) -> str:
    """Say when the outcomes that are missing will have come, as they come now; nothing where that can't be said."""
    needed = certified.clean_outcomes_needed
    if risk is not None:
        needed = min(needed or 0, outcomes_for_chance(rule.threshold, counts, risk)) if needed is not None else None
    if not needed or not per_day:
        return ""
    days = needed / per_day
    if days > LONGEST_DAYS:
        return f" At {per_day:,.0f} a day that takes more than ten years."
    due = now + timedelta(days=days)
    return f" At {per_day:,.0f} a day that is about {due:%Y-%m-%d}."
