"""What a token may be before it is made: its type, its environment, and what it is held to."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from control_plane.platform import settings
from control_plane.platform.identity_types import EVERY, Role, TokenType
from control_plane.platform.problems import Problem
from control_plane.rollout_names import SEPARATOR

ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
FLAG = re.compile(r"[!-~]{1,200}")
FLAGS_MAX = 100
PROJECTS_MAX = 100
PROJECT_CHARACTERS = range(1, 101)
SHOWS_FLAGS = (TokenType.CLIENT, TokenType.FRONTEND)
NAME_CHARACTERS = range(1, 101)


def token_type(kind: TokenType | str) -> TokenType:
    """Return the type by its name. Raises Problem."""
    try:
        return TokenType(kind)
    except ValueError:
        detail = f"There are no tokens of type {kind[:40]!r}; use {', '.join(TokenType)}."
        raise Problem(422, "UNKNOWN_TOKEN_TYPE", detail) from None


def environment_of(environment: str) -> str:
    """Return the environment. Raises Problem where nobody could be served in one of this name."""
    if not ENVIRONMENT.fullmatch(environment):
        detail = f"The environment {environment[:50]!r} can't be used; name one, such as production."
        raise Problem(422, "INVALID_ENVIRONMENT", detail)
    return environment


def role_of(kind: TokenType, role: Role | str, flags: Collection[str]) -> Role | None:
    """Return the role of a token, None for one that has none. Raises Problem where the flags don't go with it."""
    if kind is not TokenType.ADMIN:
        if role or flags:
            raise Problem(422, "INVALID_TOKEN_ROLE", "Only tokens of type admin have a role or flags; leave them out.")
        return None
    if role and role not in set(Role):
        raise Problem(422, "UNKNOWN_ROLE", f"There is no role {role[:40]!r}; use {', '.join(Role)}.")
    held = Role(role or Role.ADMIN)
    if held is Role.ADMIN and flags:
        detail = "An admin decides who may do what, everywhere; name a lesser role, or no flags."
        raise Problem(422, "INVALID_TOKEN_ROLE", detail)
    if any(SEPARATOR in flag for flag in flags):
        detail = "A rollout of one environment is no flag; name its flag, and give the token that environment."
        raise Problem(422, "INVALID_TOKEN_ROLE", detail)
    if len(flags) > FLAGS_MAX or not all(FLAG.fullmatch(flag) for flag in flags):
        raise Problem(422, "INVALID_TOKEN_ROLE", f"Name at most {FLAGS_MAX} flags, without blanks.")
    return held


def projects_of(kind: TokenType, projects: Collection[str]) -> list[str]:
    """Return the projects that a token is held to; none where it shows all. Raises Problem."""
    wanted = sorted({each.strip() for each in projects})
    if not wanted or EVERY in wanted:
        return []
    if kind not in SHOWS_FLAGS:
        raise Problem(422, "INVALID_TOKEN_PROJECTS", "Only client and frontend tokens are held to projects.")
    if len(wanted) > PROJECTS_MAX or not all(len(each) in PROJECT_CHARACTERS and each.isprintable() for each in wanted):
        detail = f"Name at most {PROJECTS_MAX} projects, each with 1 to {PROJECT_CHARACTERS[-1]} visible characters."
        raise Problem(422, "INVALID_TOKEN_PROJECTS", detail)
    return wanted


def check_name_and_expiry(name: str, expires_at: datetime | None, *, now: datetime) -> None:
    """Raise Problem where a token can't be called so, or can't end then."""
    if len(name) not in NAME_CHARACTERS or not name.isprintable():
        raise Problem(422, "INVALID_TOKEN_NAME", f"The token name {name[:40]!r} can't be used; write 1 to 100 letters.")
    if expires_at is not None and expires_at <= now:
        detail = f"The expiry {expires_at.astimezone(UTC).isoformat()} has passed already; choose a later time."
        raise Problem(422, "INVALID_EXPIRY", detail)
    days = settings.current().token_days_max
    if days and (expires_at is None or expires_at > now + timedelta(days=days)):
        detail = f"A token lasts at most {days} days here (TOKEN_DAYS_MAX); choose an earlier end."
        raise Problem(422, "INVALID_EXPIRY", detail)
