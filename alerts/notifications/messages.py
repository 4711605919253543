"""The texts of notifications: what happened, why, on what evidence, and what to do next. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.analysis.evidence import chance_sentence
from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import Per
from alerts.analysis.verdicts import EACH_ONCE, Verdict, bad_of
from control_plane.core.latch import everybody_served, latch_sentence
from control_plane.core.phases import Rollout
from control_plane.core.transitions import Action
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import SideNames
from control_plane.rollout_names import rollout_title
from control_plane.signal_counts import Counts

HAPPENED = {
    Action.ADVANCE: "advanced",
    Action.STEP_BACK: "stepped back",
    Action.HOLD: "held",
    Action.RESUME: "resumed",
    Action.ROLL_BACK: "rolled back to {control}",
    Action.REARM: "armed again",
}
NEXT = {
    Action.HOLD: "Exposure stays as it is. Look at the evidence, then resume, step back or roll back.",
    Action.ROLL_BACK: (
        "{Control} serves {everybody}. Find the cause; arming again waits for the cool-down and a reason."
    ),
}
ATTRIBUTIONS = {
    "v2_only": "{candidate} alone is to blame",
    "shared": "{control} fails as well",
    "legacy": "it is {control} that fails",
    "unknown": "whether {control} would do better is not known",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One notification. `key` tells it from every other, so that the same thing is never told twice."""

    key: str
    kind: str
    flag: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class ChangeDetails:
    """A change of a rollout, as the control plane applied it."""

    action: Action
    after: Rollout
    now: datetime
    actor: str
    reason: str
    evidence: Mapping[str, Any]
    names: SideNames = CREDITS.names

    def named(self, text: str) -> str:
        """Put the names of both sides into `text`."""
        return text.format(
            control=self.names.control,
            Control=self.names.control_title,
            candidate=self.names.candidate,
            everybody=everybody_served(self.after),
        )


def change_message(details: ChangeDetails) -> Message | None:
    """Return the message about a change; None for what nobody has to be told."""
    happened = HAPPENED.get(details.action)
    if happened is None:
        return None
    rollout = details.after
    return Message(
        key=f"rollout:{rollout.flag}:{rollout.version}",
        kind=details.action.value,
        flag=rollout.flag,
        title=f"{rollout_title(rollout.flag)} {details.named(happened)}",
        body="\n".join(_lines(details)),
    )


def override_message(flag: str, alert: str, *, actor: str, reason: str, expires_at: datetime, now: datetime) -> Message:
    """Return the message that an alert may notify only for a while."""
    title, until = f"{alert} is overridden until {expires_at:%H:%M} UTC", f"{expires_at:%Y-%m-%d %H:%M} UTC"
    body = f"{actor} lets {alert} of {rollout_title(flag)} notify only until {until}.\nReason: {reason}"
    return Message(f"override:{flag}:{alert}:{now.isoformat()}", "override", flag, title, body)


def override_request_message(
    flag: str, alert: str, *, actor: str, reason: str, until: datetime, now: datetime
) -> Message:
    """Return the message that an owner asks another one to let a critical alert notify only."""
    body = (
        f"{actor} asks that {alert} of {rollout_title(flag)} notifies only for a while. The alert is critical, so "
        f"another owner has to wish the same by {until:%H:%M} UTC; until then it acts.\nReason: {reason}"
    )
    return Message(
        f"asked:{flag}:{alert}:{now.isoformat()}", "override", flag, f"{alert}: a second owner is needed", body
    )


def no_data_message(flag: str, attempt: int, alert: str, *, since: datetime) -> Message:
    """Return the message that users are exposed and an alert has had nothing to judge by."""
    title = f"{alert} has nothing to judge by"
    body = (
        f"{rollout_title(flag)} exposes users, but {alert} has counted nothing since {since:%Y-%m-%d %H:%M} UTC.\n"
        "Without traffic that is as it should be. If there is traffic, what it measures is not reported."
    )
    return Message(f"quiet:{flag}:{attempt}:{alert}:{since.isoformat()}", "quiet", flag, title, body)


def concern_message(flag: str, attempt: int, verdict: Verdict, sentence: str) -> Message:
    """Return the message about an alert that is grave enough to act and only tells people."""
    reason = verdict.reason if verdict.cohort else f"{sentence} {verdict.reason}"
    key = f"concern:{flag}:{attempt}:{verdict.alert}:{verdict.at:%Y%m%d%H}"
    title = f"{verdict.alert}: {sentence}"
    body = f"{verdict.at:%Y-%m-%d %H:%M:%S} UTC, {verdict.alert} of {rollout_title(flag)}: {reason}"
    return Message(key, "concern", flag, title, body)


def undelivered_message(notification_id: int, flag: str, title: str, *, label: str) -> Message:
    """Return the message, for the other targets, that one target could not be reached."""
    body = f"{label} could not be told: {title}. It will not be tried again; check its address in NOTIFY_URLS."
    return Message(f"undelivered:{notification_id}:{label}", "undelivered", flag, f"{label} was not told", body)


def _lines(details: ChangeDetails) -> Iterator[str]:
    rollout = details.after
    yield f"{details.now:%Y-%m-%d %H:%M:%S} UTC, by {details.actor}: {details.reason}"
    for verdict in details.evidence.get("verdicts", []):
        yield from _verdict_lines(verdict, details)
    yield f"Phase: {rollout.phase.title}, {rollout.percentage} %, attempt {rollout.attempt}."
    if latched := latch_sentence(rollout):
        yield f"{latched} A rollback everywhere takes it from there too."
    if details.action in NEXT:
        yield f"Next: {details.named(NEXT[details.action])}"
    if rollout.plan.contacts:
        yield f"Contacts: {'; '.join(rollout.plan.contacts)}."


def _verdict_lines(verdict: Mapping[str, Any], details: ChangeDetails) -> Iterator[str]:
    counts, window, per = verdict["counts"], verdict["window"], Per(verdict.get("per", Per.OPERATION))
    yield f"Alert: {verdict['alert']}, allowed {verdict['threshold_text']}."
    if verdict.get("cohort"):
        yield f"Affected: {verdict['cohort']}"
    yield (
        f"Observed: {_of(counts)} since the attempt began{EACH_ONCE[per]}, "
        f"{_of(window, per)} in the last {duration_text(verdict['window_seconds'])}."
    )
    attribution = details.named(ATTRIBUTIONS[verdict["attribution"]])
    yield chance_sentence(verdict["evidence_log10"], verdict["rollback_log10"])
    yield f"Fault: {attribution}."


def _of(counts: Mapping[str, int], per: Per = Per.OPERATION) -> str:
    return bad_of(Counts(counts["bad"], counts["total"]), per)
