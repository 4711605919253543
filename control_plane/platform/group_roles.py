"""What the groups of an identity provider give here: `OIDC_ROLES`, read and applied. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence

from control_plane.platform.identity_types import EVERY, Grant, Role

PLACE = r"(:(?P<flag>[!-9;-?A-~]{1,200})(:(?P<environment>[!-9;-~]{1,50}))?)?"
ENTRY = re.compile(rf"(?P<group>[^=,]+)=(?P<role>[a-z]+){PLACE}")

GroupRoles = Mapping[str, Sequence[Grant]]


class GroupRolesError(ValueError):
    """An entry can't be read; the message says which and what to write."""


def parse(entries: Iterable[str]) -> dict[str, tuple[Grant, ...]]:
    """Read `group=role` or `group=role:flag:environment`, one an entry. Raises GroupRolesError."""
    found: dict[str, tuple[Grant, ...]] = {}
    for entry in entries:
        match = ENTRY.fullmatch(entry)
        if match is None or match["role"] not in set(Role):
            roles = ", ".join(Role)
            raise GroupRolesError(f"{entry!r} is no entry; write group=role or group=role:flag:environment ({roles}).")
        grant = Grant(Role(match["role"]), match["flag"] or EVERY, match["environment"] or EVERY)
        if grant.role is Role.ADMIN and grant != Grant(Role.ADMIN):
            raise GroupRolesError(f"{entry!r} names an admin of one place; admins are admins everywhere.")
        group = match["group"].strip()
        found[group] = (*found.get(group, ()), grant)
    return found


def roles_of(groups: Iterable[object], given: GroupRoles) -> tuple[Role | None, list[Grant]]:
    """Return the role everywhere and the grants in places that these groups give; None for no right at all."""
    highest: dict[tuple[str, str], Role] = {}
    for group in groups:
        for grant in given.get(str(group), ()):
            place = grant.flag, grant.environment
            if place not in highest or grant.role.includes(highest[place]):
                highest[place] = grant.role
    if not highest:
        return None, []
    highest_of_all = highest.pop((EVERY, EVERY), Role.VIEWER)
    return highest_of_all, [Grant(role, *place) for place, role in sorted(highest.items())]
