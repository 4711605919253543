"""Value types of identity: people with a role, services with a token."""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

EVERY = "*"
PRODUCTION = "production"
SEVERAL_PROJECTS = "[]"
PROJECT_IN_TOKEN = re.compile(r"[A-Za-z0-9_~-]{1,80}")
TOKEN_TEXT = re.compile(r"(?P<scope>[^\s.]{1,80})\.v2_(?P<selector>[A-Za-z0-9_-]{22})_[A-Za-z0-9_-]{43}", re.ASCII)


class Role(StrEnum):
    """The rights of a person; each role includes the ones before it.

    Viewers look. Operators make a rollout safer, approvers pass its gates by name, owners expose it further, admins
    decide who may do all that.
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    OWNER = "owner"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """The place in the order, 0 for the least."""
        return list(Role).index(self)

    def includes(self, needed: "Role") -> bool:
        """Return whether this role may do what `needed` may."""
        return self.rank >= needed.rank


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for one flag in one environment; `*` stands for every one."""

    role: Role
    flag: str = EVERY
    environment: str = EVERY

    def covers(self, flag: str, environment: str) -> bool:
        """Return whether it counts there; what concerns every flag needs a grant for every flag."""
        return self.flag in (EVERY, flag) and self.environment in (EVERY, environment)

    def includes(self, other: "Grant") -> bool:
        """Return whether whoever has this one has the other already."""
        return self.role.includes(other.role) and self.covers(other.flag, other.environment)


def below(grants: Iterable[Grant], least: Role) -> tuple[Grant, ...]:
    """Return these grants with no role of `least` or more: each of those counts as the one below it."""
    highest = list(Role)[least.rank - 1]
    return tuple(replace(each, role=highest) if each.role.includes(least) else each for each in grants)


def role_on(grants: Iterable[Grant], flag: str, environment: str) -> Role | None:
    """Return the highest role that these grants give there; None where they give none."""
    return max(
        (grant.role for grant in grants if grant.covers(flag, environment)), key=lambda role: role.rank, default=None
    )


def shared_role_on(grants: Collection[Grant], flag: str, environment: str) -> Role | None:
    """Return the role for what environments share, as rollouts are: more than an operator takes production besides.

    What makes it safer stays open to whoever may do so where they are.
    """
    here, in_production = role_on(grants, flag, environment), role_on(grants, flag, PRODUCTION)
    if here is None or (in_production and in_production.includes(here)):
        return here
    return min(here, max(Role.OPERATOR, in_production or Role.VIEWER, key=_rank), key=_rank)


def _rank(role: Role) -> int:
    return role.rank


class TokenType(StrEnum):
    """The use of a token: flags for servers, flags for browsers, everything, or the credits API."""

    CLIENT = "client"
    FRONTEND = "frontend"
    ADMIN = "admin"
    SERVICE = "service"

    @property
    def is_secret(self) -> bool:
        """Return whether holding such a token proves anything: everybody who opens the product has a frontend one."""
        return self is not TokenType.FRONTEND

    @property
    def trusted_by_default(self) -> tuple[str, ...]:
        """Return the user attributes trusted by default: none from a browser, all from a service."""
        return () if self is TokenType.FRONTEND else (EVERY,)


@dataclass(frozen=True, slots=True)
class Passkey:
    """A device's key that signs somebody in; what is kept of it proves who has it, and can't sign."""

    id: str
    name: str
    public_key: str = field(repr=False)
    signatures: int
    """How many the device says that it has made; 0 where it does not count."""
    added_at: datetime
    used_at: datetime | None = None
    answered: Mapping[str, float] = field(default_factory=dict, repr=False)
    """The challenges that it answered lately and when, in seconds since 1970: each counts once."""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who signs in. A session made under another `session_version` is over."""

    id: int
    username: str
    role: Role
    session_version: int
    created_at: datetime
    disabled_at: datetime | None
    grants: tuple[Grant, ...] = ()
    has_device: bool = False
    """A code of a device is asked for besides the password."""
    identity: str | None = None
    language: str | None = None
    """The code of the language in which they read pages; None goes by the browser."""
    passkeys: tuple[Passkey, ...] = ()

    @property
    def has_second_factor(self) -> bool:
        """Return whether a password alone does not sign them in."""
        return self.has_device or bool(self.passkeys)

    @property
    def all_grants(self) -> tuple[Grant, ...]:
        """Return what they may everywhere, then what they may in places."""
        return (Grant(self.role), *self.grants)


@dataclass(frozen=True, slots=True)
class PersonSession:
    """One browser in which somebody is signed in: since when, from which address, and what it says of itself."""

    id: str = field(repr=False)
    started_at: datetime
    address: str
    browser: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored: never its secret, only the digest that proves it."""

    id: int
    name: str
    type: TokenType
    environment: str
    selector: str
    digest: str = field(repr=False)
    trusted_attributes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_seen_at: datetime | None
    role: Role | None = None
    flags: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    """The projects whose flags it shows; none for all."""

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Return what it may do in place of a person; nothing without a role."""
        if self.role is None:
            return ()
        return tuple(Grant(self.role, flag, self.environment) for flag in self.flags or (EVERY,))

    def trusts(self, attribute: str) -> bool:
        """Return whether the caller's value of this user attribute outweighs the directory's."""
        return EVERY in self.trusted_attributes or attribute in self.trusted_attributes


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """Why a presented token opens nothing."""

    reason: str


def token_text(kind: TokenType, environment: str, selector: str, secret: str, *, projects: Collection[str] = ()) -> str:
    """Return the text a caller presents, in the form Unleash's own tokens have."""
    scope = "svc" if kind is TokenType.SERVICE else _project_scope(projects)
    return f"{scope}:{environment}.v2_{selector}_{secret}"


def _project_scope(projects: Collection[str]) -> str:
    """Return how a token begins that is held to these projects: several have no name of their own."""
    if not projects:
        return EVERY
    (first, *others) = projects
    return first if not others and PROJECT_IN_TOKEN.fullmatch(first) else SEVERAL_PROJECTS


def token_selector(text: str) -> str | None:
    """Return the public part by which a token is looked up; None when the text can't be a token of ours."""
    found = TOKEN_TEXT.fullmatch(text)
    return found["selector"] if found else None


def token_digest(text: str) -> str:
    """Return the hash stored of a token. A plain hash is enough: 256 random bits can't be guessed, salted or not."""
    return hashlib.sha256(text.encode()).hexdigest()
