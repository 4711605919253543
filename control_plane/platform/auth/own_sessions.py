"""The browsers in which somebody is signed in, as they see and end them themselves."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import request
from flask import session as cookie
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import account_store, accounts, audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Person, PersonSession

SESSION_LIFETIME = timedelta(hours=12)
BROWSER_CHARACTERS = 300
DIGEST_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class OwnSession:
    """A session with the word by which a form names it, which opens nothing, and whether it is this browser's."""

    key: str
    session: PersonSession
    is_this: bool


def begin(session: Session, person: Person, *, address: str, now: datetime) -> str:
    """Begin a session of somebody in this browser; returns its id."""
    browser = request.headers.get("User-Agent", "")[:BROWSER_CHARACTERS]
    return accounts.begin_session(session, person, now=now, lifetime=SESSION_LIFETIME, address=address, browser=browser)


def renew(session: Session, person: Person) -> None:
    """Let the session of this browser go on after a change that ends all others of this person."""
    version = accounts.session_version(session, person.id)
    account_store.renew_session(session, str(cookie.get("id", "")), version)
    cookie["version"] = version


def own_sessions(person: Person, now: datetime) -> list[OwnSession]:
    """Return the sessions of somebody that could still be used, the newest first."""
    with read_only() as session:
        return _own(session, person, now)


def end(person: Person, key: str, *, now: datetime) -> None:
    """End one session of somebody's, wherever it is; none that has ended already, nor anybody else's."""
    with transaction() as session:
        _end(session, person, (each for each in _own(session, person, now) if each.key == key), now)


def end_others(person: Person, *, now: datetime) -> None:
    """End every session of somebody's but that of this browser."""
    with transaction() as session:
        _end(session, person, (each for each in _own(session, person, now) if not each.is_this), now)


def _own(session: Session, person: Person, now: datetime) -> list[OwnSession]:
    found = account_store.sessions_of(session, person, since=now - SESSION_LIFETIME)
    return [OwnSession(_key(each.id), each, each.id == cookie.get("id")) for each in found]


def _key(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _end(session: Session, person: Person, ended: Iterable[OwnSession], now: datetime) -> None:
    names = []
    for each in ended:
        account_store.remove_session(session, each.session.id)
        names.append(f"{each.session.address}, {each.session.browser}")
    if names:
        change = ChangeContext(now, person.username, "")
        subject, before = f"person:{person.username}", {"sessions": names}
        audit.record(session, change, action="person.end_sessions", subject=subject, before=before)
