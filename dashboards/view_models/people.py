"""Accounts of people and tokens of services."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.auth import accounts, tokens
from control_plane.platform.identity_types import Person, Token


@dataclass(frozen=True, slots=True)
class PersonView:
    """One person; `is_me` is whoever looks."""

    person: Person
    is_me: bool

    @property
    def status(self) -> str:
        return "active" if self.person.disabled_at is None else "disabled"


@dataclass(frozen=True, slots=True)
class TokenView:
    """One token, without its secret."""

    token: Token
    status: str


@dataclass(frozen=True, slots=True)
class PeopleScreen:
    """Everybody and every token, as of `now`."""

    now: datetime
    people: tuple[PersonView, ...]
    tokens: tuple[TokenView, ...]


def read(session: Session, *, me: Person | None, now: datetime) -> PeopleScreen:
    """Read people by name, tokens newest first."""
    my_id = me.id if me else None
    return PeopleScreen(
        now=now,
        people=tuple(PersonView(person, person.id == my_id) for person in accounts.list_people(session)),
        tokens=tuple(TokenView(token, _status(token, now)) for token in tokens.list_tokens(session)),
    )


def _status(token: Token, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= now else "active"
