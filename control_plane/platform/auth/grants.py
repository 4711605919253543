"""Roles for single flags and environments: read, checked and written as JSON."""

import re
from collections.abc import Collection

from control_plane.platform.identity_types import EVERY, Grant, Person, Role
from control_plane.platform.problems import Problem
from control_plane.rollout_names import SEPARATOR

GRANTS_MAX = 100
PLACE = re.compile(r"[!-~]{1,200}")


def check_grants(grants: Collection[Grant]) -> list[Grant]:
    """Return them in order, each once. Raises Problem for those that can't be given together, or at all."""
    found = sorted(set(grants), key=lambda grant: (grant.flag, grant.environment))
    if len(found) > GRANTS_MAX or len({(each.flag, each.environment) for each in found}) < len(found):
        detail = f"Give at most {GRANTS_MAX} roles, one for each flag and environment."
        raise Problem(422, "INVALID_GRANTS", detail)
    for grant in found:
        _check(grant)
    return found


def parse_grant(text: str) -> Grant:
    """Read `ROLE:FLAG:ENVIRONMENT`, where `*` stands for every one. Raises Problem."""
    role, flag, environment = (*text.split(":"), EVERY, EVERY)[:3]
    return Grant(parse_role(role), flag or EVERY, environment or EVERY)


def parse_role(role: Role | str) -> Role:
    """Read the name of a role. Raises Problem."""
    try:
        return Role(role)
    except ValueError:
        raise Problem(422, "UNKNOWN_ROLE", f"There is no role {role[:40]!r}; use {', '.join(Role)}.") from None


def grant_document(grant: Grant) -> dict[str, str]:
    """Return a grant as it is stored and shown."""
    return {"role": grant.role.value, "flag": grant.flag, "environment": grant.environment}


def person_document(person: Person) -> dict[str, object]:
    """Return a person as JSON."""
    return {
        "id": person.id,
        "username": person.username,
        "role": person.role.value,
        "grants": [grant_document(grant) for grant in person.grants],
        "active": person.disabled_at is None,
        "secondFactor": person.has_second_factor,
        "identity": person.identity,
        "createdAt": person.created_at.isoformat(),
    }


def _check(grant: Grant) -> None:
    if grant.role is Role.ADMIN:
        detail = "Admins decide who may do what, everywhere; give that role to the person, not for a place."
        raise Problem(422, "INVALID_GRANTS", detail)
    if (grant.flag, grant.environment) == (EVERY, EVERY):
        raise Problem(422, "INVALID_GRANTS", "What counts everywhere is the person's role; change that instead.")
    if SEPARATOR in grant.flag:
        detail = f"{grant.flag[:50]!r} is a rollout; name its flag and its environment, each in its place."
        raise Problem(422, "INVALID_GRANTS", detail)
    if not PLACE.fullmatch(grant.flag) or not PLACE.fullmatch(grant.environment):
        detail = f"{grant.flag[:50]!r} in {grant.environment[:50]!r} is no place; name a flag and an environment, or *."
        raise Problem(422, "INVALID_GRANTS", detail)
