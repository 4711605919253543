"""What pages call both sides of a flag, in the language of the page where the names are ours."""

from control_plane.experiments import registry
from control_plane.experiments.migration import Migration
from dashboards.language import gettext
from dashboards.names import SIDES


def names_of(flag: str) -> Migration:
    """Return the migration by whose names sentences on pages tell of a rollout."""
    found = registry.names_of(flag)
    if found.control not in SIDES:
        return found
    return found.called(gettext(SIDES[found.control]), gettext(SIDES[found.candidate]))
