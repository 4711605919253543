"""What pages call both sides of a flag, in the language of the page where the names are ours. Pure."""

from control_plane.experiments.migration import Migration, SideNames, side_names
from dashboards.language import gettext
from dashboards.names import SIDES


def localized_names(migration: Migration | None) -> SideNames:
    """Return the names that sentences use about a flag, which may have no migration."""
    names = side_names(migration)
    return names if migration else SideNames(gettext(SIDES[names.control]), gettext(SIDES[names.candidate]))
