"""Whom a rollback leaves where, in the language of the page. Pure."""

from collections.abc import Collection

from control_plane.core.latch import environments_on, environments_spared
from control_plane.core.phases import Rollout
from control_plane.experiments.migration import SideNames
from dashboards.filters import joined
from dashboards.language import gettext, ngettext


def serves_sentence(rollout: Rollout, names: SideNames) -> str:
    """Say whom the control serves after a rollback, inside a sentence."""
    if rollout.plan.is_of_one_environment:
        place = rollout.plan.environment
        return gettext("%(control)s serves everybody in %(environment)s", control=names.control, environment=place)
    if environments_spared(rollout):
        return gettext("%(control)s serves everybody in production", control=names.control)
    return gettext("%(control)s serves everybody", control=names.control)


def environments_sentence(rollout: Rollout, elsewhere: Collection[str] = ()) -> str:
    """Say who keeps a flag that is rolled back; empty where nobody does, or by the rollouts of those environments."""
    names = environments_on(rollout, elsewhere)
    if not names:
        return ""
    return ngettext(
        "%(environments)s keeps the flag.",
        "%(environments)s keep the flag.",
        len(names),
        environments=joined(names).capitalize(),
    )
