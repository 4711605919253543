"""The verdict on one alert: ok, watch, hold or roll back, with its reason as a sentence.

Three tiers of one number. Watch as soon as the window's rate exceeds the threshold; hold once E >= 1/hold_alpha,
released by itself after E stayed below 3 for one window; roll back once E >= 1/alpha. A breach that the control shares,
or that is the control's, or that an alert of the whole service can't pin on the candidate, holds: going back would hide
the cause and help nobody. Where nobody is exposed there is nothing to roll back, and it holds.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import log
from typing import Any, NamedTuple

from alerts.analysis.attribution import ALARMING_LOG_E, Attribution, attribute
from alerts.analysis.evidence import Evidence, chance_sentence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import Action, ErrorBudget, NoData, Per, Rule, rule_test
from alerts.analysis.sequential_test import log_start
from control_plane.signal_counts import Counts

RELEASE_LOG_E = log(3)
CONTROL_LOG_E = log(10)
"""The evidence at which the control's own faults hold: they cost no false alarm, so it is little."""
BLIND_ROLLBACK_WINDOWS = 2
EACH_ONCE: Mapping[Per, str] = {Per.OPERATION: "", Per.ACCOUNT: ", each user once an hour"}
TIMES = ("at", "breached_since", "calm_since")


class Status(StrEnum):
    """The verdicts on an alert, mildest first."""

    OK = "ok"
    INSUFFICIENT = "insufficient"
    WATCH = "watch"
    BLIND = "blind"
    HOLD = "hold"
    ROLLBACK = "rollback"


GRAVITY = {status: gravity for gravity, status in enumerate(Status)}
Concern = tuple[Status, str]


BREACHES: Mapping[Attribution, Concern] = {
    Attribution.SHARED: (
        Status.HOLD,
        "Over its threshold, but {control} fails as well, so going back would not help.",
    ),
    Attribution.CONTROL: (
        Status.HOLD,
        "Over its threshold, but it is {control} that fails, so going back would do harm.",
    ),
    Attribution.CANDIDATE_ONLY: (Status.ROLLBACK, "Over its threshold, and {candidate} alone is to blame."),
    Attribution.UNKNOWN: (Status.ROLLBACK, "Over its threshold; whether {control} would do better is not known."),
}
"""What a breach leads to by whose fault it is; `{control}` and `{candidate}` are the migration's names."""
LIKELY: Mapping[Attribution, str] = {
    Attribution.SHARED: "Likely over its threshold, but {control} fails as well.",
    Attribution.CONTROL: "Likely over its threshold, but it is {control} that fails.",
}


class Verdict(NamedTuple):
    """The conclusion about one alert at one moment; feed it back as `previous` at the next tick.

    A named tuple, and so is `Evidence`: each tick makes one of each alert, and a frozen dataclass takes longer.
    """

    alert: str
    status: Status
    cause: str
    """What decided, as a sentence."""
    at: datetime
    counts: Counts
    """Since the attempt began."""
    window: Counts
    window_seconds: float
    threshold: float
    threshold_text: str
    evidence_log10: float
    rollback_log10: float | None
    """The evidence at which this alert rolls back; None where it never does."""
    attribution: Attribution
    breached_since: datetime | None = None
    calm_since: datetime | None = None
    burst_size: float = 1.0
    """How many failures come at once on average, which the evidence allows for."""
    cohort: str = ""
    """The part of the traffic that the verdict is about, as a sentence; empty where it is about all."""
    per: Per = Per.OPERATION
    """What its counts are of."""
    notifies: bool = False
    """It is grave enough to act, and may only tell people."""

    @property
    def rate(self) -> float:
        """The bad rate since the attempt began."""
        return self.counts.rate

    @property
    def reason(self) -> str:
        """The part of the traffic that it is about, if it is one, the cause, and every figure behind it."""
        return f"{self.cohort} {self.conclusion}" if self.cohort else self.conclusion

    @property
    def conclusion(self) -> str:
        """The cause with every figure behind it, if there are any.

        Composed when read: a tick that changes nothing must cost nothing.
        """
        if not self.counts.total:
            return self.cause
        window = f"{bad_of(self.window, self.per)} were bad in the last {duration_text(self.window_seconds)}"
        whole = f"{bad_of(self.counts)} since the attempt began{EACH_ONCE[self.per]}"
        evidence = chance_sentence(self.evidence_log10, self.rollback_log10)
        bursts = f" Failures come in bursts of about {self.burst_size:.2g} here." if self.burst_size > 1 else ""
        return f"{self.cause} {window}, and {whole}; {self.threshold_text} is allowed. {evidence}{bursts}"


def judge(
    rule: Rule, evidence: Evidence, inputs: JudgeInputs, *, budget: ErrorBudget, previous: Verdict | None, now: datetime
) -> Verdict:
    """Return the verdict on `rule`, the gravest concern's; `previous` is the attempt's of the tick before, if any."""
    served_breached = budget.is_reached_by(inputs.served)
    breached = served_breached or budget.is_reached_by(evidence)
    breached_since = ((previous.breached_since if previous else None) or now) if breached else None
    calm_since = ((previous.calm_since if previous else None) or now) if evidence.log_e < RELEASE_LOG_E else None
    faulted = _control_faults(rule, inputs)
    attribution = _attribution(rule, evidence, inputs, previous if breached else None, faulted=faulted is not None)
    concerns = (
        _breach(rule, inputs, attribution, breached_since, now, served_breached=served_breached),
        faulted,
        _data_gap(rule, inputs),
        _likely(rule, attribution) if evidence.log_e >= budget.hold_log_e else _held(rule, previous, calm_since, now),
        _window(rule, inputs),
    )
    gravest = max(filter(None, concerns), key=_gravity)
    status, cause = _limited(rule, inputs, *gravest)
    if served_breached and attribution is Attribution.CANDIDATE_ONLY:  # then what the candidate served is the reason
        evidence, inputs = inputs.served, replace(inputs, window=inputs.arms.candidate)
    return Verdict(
        alert=rule.name,
        status=status,
        cause=cause,
        at=now,
        counts=evidence.counts,
        window=inputs.window,
        window_seconds=rule.window_seconds,
        threshold=rule.threshold,
        threshold_text=rule.threshold_sentence,
        evidence_log10=evidence.log10,
        rollback_log10=budget.rollback_log10,
        attribution=attribution,
        breached_since=breached_since,
        calm_since=calm_since,
        burst_size=inputs.burst_size,
        per=rule.per,
        notifies=rule.action is Action.NOTIFY and status is not gravest[0],
    )


FIELDS = Verdict._fields


def to_json(verdict: Verdict) -> dict[str, object]:
    """Return `verdict` as plain JSON values, its unit only where that is news to a worker of the version before."""
    values = verdict._asdict()
    if verdict.per is Per.OPERATION:
        del values["per"]
    times = {name: values[name].isoformat() for name in TIMES if values[name]}
    counts = {name: {"bad": values[name].bad, "total": values[name].total} for name in ("counts", "window")}
    return values | times | counts


def from_json(stored: Mapping[str, Any]) -> Verdict:
    """Return the verdict that `to_json` wrote."""
    times = {name: datetime.fromisoformat(stored[name]) if stored[name] else None for name in TIMES}
    counts = {name: Counts(**stored[name]) for name in ("counts", "window")}
    texts = {
        "status": Status(stored["status"]),
        "attribution": Attribution(stored["attribution"]),
        "per": Per(stored.get("per", Per.OPERATION)),  # verdicts of an earlier release don't say
    }
    # What a later release says besides is nothing that this one knows.
    known = {name: value for name, value in stored.items() if name in FIELDS}
    return Verdict(**{**known, **times, **counts, **texts})


def _gravity(concern: Concern) -> int:
    return GRAVITY[concern[0]]


def _breach(
    rule: Rule,
    inputs: JudgeInputs,
    attribution: Attribution,
    breached_since: datetime | None,
    now: datetime,
    *,
    served_breached: bool,
) -> Concern | None:
    if breached_since is None:
        return None
    if now - breached_since < timedelta(seconds=rule.for_seconds):
        return Status.HOLD, f"Over its threshold; rolls back if that lasts {duration_text(rule.for_seconds)}."
    control, candidate = rule.names.control, rule.names.candidate
    if attribution is Attribution.UNKNOWN and rule.metric.engine_unknown:
        cause = f"it can't tell {candidate} from {control} and nothing else blames {candidate}."
        return Status.HOLD, f"Over its threshold, but {cause}"
    if attribution is Attribution.UNKNOWN and rule.metric.served_only and inputs.arms.control.total:
        return Status.HOLD, f"Over its threshold, but {control} has served too little to tell whether it fails as well."
    if attribution is Attribution.CANDIDATE_ONLY and rule.metric.engine_unknown and not served_breached:
        return Status.HOLD, f"Over its threshold, but not for certain in the requests that {candidate} served."
    status, sentence = BREACHES[attribution]
    return status, sentence.format(control=control, candidate=candidate)


def _attribution(
    rule: Rule, evidence: Evidence, inputs: JudgeInputs, breached: Verdict | None, *, faulted: bool
) -> Attribution:
    """Name the engine at fault; `breached` is the verdict of the tick before, of a breach that may go on."""
    strongest = max(evidence, inputs.served, key=lambda each: each.log_e)
    found = attribute(rule, strongest, inputs.pairs, inputs.arms, inputs.arms_of_attempt)
    if found is not Attribution.UNKNOWN:
        return found
    if faulted:
        return Attribution.CONTROL
    return inputs.known_elsewhere or (_of_breach(rule, inputs, breached) if breached else found)


def _of_breach(rule: Rule, inputs: JudgeInputs, previous: Verdict) -> Attribution:
    """Name the engine at fault for a breach that outlasts the failures that made it, while no others alarm.

    Whose fault those were is whose fault it is: a window in which hardly anybody came, or nothing failed, excuses
    nobody, and blames nobody either.
    """
    goes_on = previous.breached_since is not None and log_start(rule_test(rule), inputs.window) < ALARMING_LOG_E
    return previous.attribution if goes_on else Attribution.UNKNOWN


def _control_faults(rule: Rule, inputs: JudgeInputs) -> Concern | None:
    """Return the control's own defects where they are as alarming as the candidate's would be."""
    if log_start(rule_test(rule), inputs.control_faults) < CONTROL_LOG_E:
        return None
    faults, window = bad_of(inputs.control_faults, rule.per), duration_text(rule.window_seconds)
    candidate = rule.names.candidate
    found = f"{rule.names.control_title} is at fault in {faults} in the last {window}."
    return Status.HOLD, f"{found} That says nothing against {candidate}, and going back would do harm."


def _data_gap(rule: Rule, inputs: JudgeInputs) -> Concern | None:
    windows = inputs.gap_seconds / rule.window_seconds
    if windows < 1 or rule.no_data is NoData.IGNORE:
        return None
    sentence = f"Users are exposed, but nothing was counted for {duration_text(round(inputs.gap_seconds))}."
    if windows >= BLIND_ROLLBACK_WINDOWS and rule.no_data is NoData.ROLLBACK:
        return Status.ROLLBACK, f"{sentence} Exposure that nobody can watch ends."
    return Status.BLIND, sentence


def _likely(rule: Rule, attribution: Attribution) -> Concern:
    return Status.HOLD, LIKELY.get(attribution, "Likely over its threshold.").format(control=rule.names.control)


def _held(rule: Rule, previous: Verdict | None, calm_since: datetime | None, now: datetime) -> Concern | None:
    was_held = previous is not None and previous.status in (Status.HOLD, Status.ROLLBACK)
    is_calm = calm_since is not None and now - calm_since >= timedelta(seconds=rule.window_seconds)
    sentence = f"Held until the evidence stays low for {duration_text(rule.window_seconds)}."
    return (Status.HOLD, sentence) if was_held and not is_calm else None


def _window(rule: Rule, inputs: JudgeInputs) -> Concern:
    if inputs.window.total == 0:
        return Status.INSUFFICIENT, f"Nothing happened in the last {duration_text(rule.window_seconds)}."
    if inputs.window.rate > rule.threshold:
        return Status.WATCH, "The last window is over the threshold, which may be chance."
    return Status.OK, "Fine."


def _limited(rule: Rule, inputs: JudgeInputs, status: Status, cause: str) -> Concern:
    """Return no more than the alert's action allows, and no rollback of what nobody is exposed to."""
    match rule.action, status:
        case Action.NOTIFY, Status.HOLD | Status.ROLLBACK | Status.BLIND:
            return Status.WATCH, f"{cause} This alert only notifies."
        case Action.HOLD, Status.ROLLBACK:
            return Status.HOLD, f"{cause} This alert holds at most."
        case _, Status.ROLLBACK if not inputs.exposed:
            return Status.HOLD, f"{cause} Nobody is exposed in production, so this holds."
    return status, cause


def bad_of(counts: Counts, per: Per = Per.OPERATION) -> str:
    """Return the counts for people: bad of all, and the share."""
    users = " users" if per is Per.ACCOUNT else ""
    return f"{counts.bad:,} of {counts.total:,}{users} ({counts.rate * 100:.3g}%)"
