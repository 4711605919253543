"""Whom a phase admits, in the language of the page; an audience of somebody else's kind speaks for itself. Pure."""

from control_plane.audiences.base import AudienceKind, audience_kind
from control_plane.audiences.constraint import listed
from control_plane.audiences.segment import SegmentNotice
from control_plane.core.phases import Phase
from dashboards.constraint_sentences import constraint_sentence
from dashboards.delivered_texts import delivered
from dashboards.filters import joined, pluralize
from dashboards.language import SOURCE, gettext, language


def audience_sentence(phase: Phase, cutover: str) -> str:
    """Describe the audience, as a sentence without its full stop; `cutover` is the plan's day in words."""
    match phase.audience:
        case AudienceKind.ENVIRONMENTS:
            return gettext("Everybody in %(environments)s", environments=joined(phase.environments))
        case AudienceKind.ALLOWLIST:
            return gettext("Those on the beta allowlist")
        case AudienceKind.NEW_SIGNUPS:
            return gettext("Those who signed up after %(day)s", day=cutover)
        case AudienceKind.ATTRIBUTES:
            return _customers(phase)
        case AudienceKind.EVERYONE:
            return gettext("All production users")
        case _:
            return audience_kind(phase.audience).sentence(phase, cutover)


def audience_reach(phase: Phase, share: str) -> str:
    """Describe a step inside a sentence: `25 % of new signups`."""
    match phase.audience:
        case AudienceKind.ENVIRONMENTS:
            return joined(phase.environments)
        case AudienceKind.ALLOWLIST:
            return gettext("the beta allowlist")
        case AudienceKind.NEW_SIGNUPS:
            return gettext("%(share)s of new signups", share=share)
        case AudienceKind.ATTRIBUTES:
            return _share_of_customers(phase, share)
        case AudienceKind.EVERYONE:
            return gettext("%(share)s of everyone", share=share)
        case _:
            return audience_kind(phase.audience).reach(phase, share)


def is_share(phase: Phase) -> bool:
    """Return whether a step of the phase begins with its share, as `25 % of new signups` does."""
    return phase.audience not in (AudienceKind.ENVIRONMENTS, AudienceKind.ALLOWLIST)


def segment_sentence(notice: SegmentNotice) -> str:
    """Say what became of a segment that a plan names."""
    named = {"segment": notice.segment, "phase": delivered(notice.phase), "environment": notice.environment}
    if notice.is_there:
        return gettext(
            "Segment %(segment)s was changed after the plan took its conditions; phase %(phase)s keeps those until the "
            "plan is applied again.",
            **named,
        )
    return gettext(
        "Segment %(segment)s of %(environment)s can't be taken any more; phase %(phase)s keeps the conditions that it "
        "had.",
        **named,
    )


def conditions_sentence(phase: Phase) -> str:
    """List the conditions inside a sentence."""
    if language() == SOURCE:
        return listed(phase.constraints)
    wires = [
        {"contextName": each.context_name, "operator": each.operator, "values": each.values, "inverted": each.inverted}
        for each in phase.constraints
    ]
    return joined([constraint_sentence(wire) for wire in wires])


def _customers(phase: Phase) -> str:
    if phase.segment:
        conditions = pluralize(len(phase.constraints), "condition")
        return gettext(
            "Customers of segment %(segment)s (%(conditions)s)", segment=phase.segment, conditions=conditions
        )
    return gettext("Customers whose %(conditions)s", conditions=conditions_sentence(phase))


def _share_of_customers(phase: Phase, share: str) -> str:
    if phase.segment:
        return gettext("%(share)s of segment %(segment)s", share=share, segment=phase.segment)
    return gettext("%(share)s of customers whose %(conditions)s", share=share, conditions=conditions_sentence(phase))
