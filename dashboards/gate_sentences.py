"""What a gate says, in the language of the page: by its name and answer, with the figures that it rests on. Pure.

English is the gate's own reason. Another language has a sentence of its own for each gate of ours; a gate of somebody
else's, or one whose figures say too little, stands as it was written.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from alerts.analysis.verdicts import Status
from control_plane.core.gates import GateResult, GateStatus
from dashboards.badges import badge_style
from dashboards.filters import count, figure, moment, pluralize
from dashboards.language import SOURCE, gettext, language, ngettext

Sentence = Callable[[GateResult], str]
OPEN, CLOSED, UNKNOWN = GateStatus.OPEN, GateStatus.CLOSED, GateStatus.UNKNOWN

VERDICTS = frozenset[str](Status)


def gate_figure(value: object, name: str) -> str:
    """Return one figure of a gate's evidence: what the guard concluded as its badges say it, another by its unit."""
    return badge_style(value).label if isinstance(value, str) and value in VERDICTS else figure(name, value)


def gate_sentence(gate: GateResult) -> str:
    """Say why a gate is open, closed or can't tell."""
    sentence = None if language() == SOURCE else SENTENCES.get((gate.name, gate.status))
    if sentence is None:
        return gate.reason
    try:
        return sentence(gate)
    except (KeyError, TypeError, ValueError):
        return gate.reason  # Its figures are others than ours: another release's, or a gate registered in its place.


def _soaking(gate: GateResult) -> str:
    if gate.opens_at is None:
        return gettext("The soak time of this step is not over yet.")
    return gettext("The soak time of this step lasts until %(moment)s.", moment=moment(gate.opens_at))


def _approvals(gate: GateResult) -> str:
    given, quorum = _listed(gate, "approved_by"), _number(gate, "quorum")
    if gate.status is OPEN:
        return gettext("Approved by %(names)s.", names=", ".join(given))
    missing = ngettext(
        "%(given)s of %(quorum)s approvals; %(missing)s more is needed, by somebody who neither made this plan nor "
        "asks for the change.",
        "%(given)s of %(quorum)s approvals; %(missing)s more are needed, by people who neither made this plan nor "
        "ask for the change.",
        quorum - len(given),
        given=len(given),
        quorum=quorum,
        missing=quorum - len(given),
    )
    not_counted = gate.evidence.get("not_counted")
    return " ".join([missing, *map(_shared_access, not_counted if isinstance(not_counted, list) else [])])


def _shared_access(names: Sequence[str]) -> str:
    actor, giver, account = names
    return gettext(
        "The approval of %(actor)s does not count: %(giver)s gave %(account)s access, or changed it, in this step or "
        "shortly before it.",
        actor=actor,
        giver=giver,
        account=account,
    )


def _calendar(gate: GateResult) -> str:
    if gate.status is OPEN:
        return gettext("It is a time at which moves are made.")
    if gate.opens_at is None:
        return gettext("It is no time at which moves are made, and none comes within a year.")
    return gettext("It is no time at which moves are made. It opens on %(moment)s.", moment=moment(gate.opens_at))


def _last_run(gate: GateResult) -> str:
    days = _number(gate, "required_days")
    if "run_at" not in gate.evidence:
        return gettext("No run is recorded; one is needed that passed within %(days)s days.", days=days)
    at = moment(datetime.fromisoformat(str(gate.evidence["run_at"])))
    if not gate.evidence["passed"]:
        return gettext("It did not pass on %(moment)s.", moment=at)
    if gate.status is OPEN:
        return gettext("It passed on %(moment)s.", moment=at)
    return gettext("It passed last on %(moment)s, which is more than %(days)s days ago.", moment=at, days=days)


def _served(gate: GateResult) -> str:
    if "served" not in gate.evidence:
        return gettext("No traffic of this flag is known: nobody counts what is served behind it.")
    served, required = _number(gate, "served"), _number(gate, "required")
    if gate.status is OPEN:
        return gettext("The new version served %(served)s in this step.", served=pluralize(served, "operation"))
    return gettext(
        "The new version served %(served)s of the %(required)s that this step must see.",
        served=count(served),
        required=pluralize(required, "operation"),
    )


def _safety(gate: GateResult) -> str:
    if not gate.evidence:
        return gettext("No alert of this flag counts outcomes that could show it to be safe.")
    if gate.status is OPEN:
        return gettext("The new version is shown to be below every threshold that must be.")
    return gettext(
        "It is not shown yet that the new version is below every threshold; the figures say how much is missing."
    )


def _guardrails(gate: GateResult) -> str:
    match gate.status:
        case GateStatus.OPEN:
            sentence = gettext("No alert stands against it.")
            if "production_alone" in gate.evidence:
                names = ", ".join(_listed(gate, "production_alone"))
                more = gettext("These judge production alone and say nothing here: %(names)s.", names=names)
                return f"{sentence} {more}"
            return sentence
        case GateStatus.CLOSED:
            return gettext("An alert stands against it: the alerts on this page say which.")
        case GateStatus.UNKNOWN:
            return gettext("The guard has not judged this attempt yet, or no alert is about this flag.")


def _migration(gate: GateResult) -> str:
    match gate.status:
        case GateStatus.OPEN:
            return gettext("The next step would have v2 refuse nobody beyond what the plan takes.")
        case GateStatus.CLOSED:
            return gettext("The next step would have v2 refuse too many, or the comparison contradicts itself.")
        case GateStatus.UNKNOWN:
            return gettext("Nobody has looked yet whom v2 would refuse next; the leader looks every hour.")


def _checklists(gate: GateResult) -> str:
    match gate.status:
        case GateStatus.OPEN:
            return gettext("Nothing of the checklists is missing for this step.")
        case GateStatus.CLOSED:
            return gettext("An item of the checklists is not true.")
        case GateStatus.UNKNOWN:
            return gettext("An item of the checklists is not ticked yet.")


def _firing(gate: GateResult) -> str:
    match gate.status:
        case GateStatus.OPEN:
            return gettext("No alert fires now.")
        case GateStatus.CLOSED:
            return gettext("An alert is over its threshold in its last window.")
        case GateStatus.UNKNOWN:
            return gettext("No alert is about this flag, so nothing guards it.")


def _listed(gate: GateResult, name: str) -> list[str]:
    found = gate.evidence[name]
    if not isinstance(found, list):
        raise TypeError(name)
    return [str(each) for each in found]


def _number(gate: GateResult, name: str) -> int:
    found = gate.evidence[name]
    if not isinstance(found, int):
        raise TypeError(name)
    return found


def _for_every_answer(name: str, sentence: Sentence) -> dict[tuple[str, GateStatus], Sentence]:
    return {(name, status): sentence for status in GateStatus}


SENTENCES: Mapping[tuple[str, GateStatus], Sentence] = {
    ("soak", OPEN): lambda _gate: gettext("The soak time of this step is over."),
    ("soak", CLOSED): _soaking,
    ("flag_hold", CLOSED): lambda gate: gettext(
        "The whole flag is held, so nobody gains it in this environment either: %(reason)s Resume it first.",
        reason=gate.evidence["held"],
    ),
    **_for_every_answer("approvals", _approvals),
    **_for_every_answer("calendar", _calendar),
    **_for_every_answer("drill", _last_run),
    **_for_every_answer("restore_test", _last_run),
    **_for_every_answer("served", _served),
    **_for_every_answer("safety", _safety),
    **_for_every_answer("guardrails", _guardrails),
    **_for_every_answer("migration", _migration),
    **_for_every_answer("checklists", _checklists),
    **_for_every_answer("firing", _firing),
}
