"""Whom a phase admits, in the language of the page; an audience of somebody else's kind speaks for itself. Pure."""

from collections.abc import Sequence

from control_plane.audiences.base import AudienceKind, audience_kind
from control_plane.audiences.constraint import listed
from control_plane.core.phases import Phase
from dashboards.language import gettext


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
            return gettext("Customers whose %(conditions)s", conditions=listed(phase.constraints))
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
            return gettext(
                "%(share)s of customers whose %(conditions)s", share=share, conditions=listed(phase.constraints)
            )
        case AudienceKind.EVERYONE:
            return gettext("%(share)s of everyone", share=share)
        case _:
            return audience_kind(phase.audience).reach(phase, share)


def joined(names: Sequence[str]) -> str:
    """Join names as a sentence lists them: `a, b and c`."""
    *others, last = names
    return gettext("%(others)s and %(last)s", others=", ".join(others), last=last) if others else last
