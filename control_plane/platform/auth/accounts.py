"""People who sign in: made, proved, changed, locked out. Each change is audited in the caller's transaction."""

import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import account_store, audit, token_makers
from control_plane.platform.auth.grants import check_grants, grant_document, parse_role
from control_plane.platform.auth.passwords import NOBODY, hash_password, is_password
from control_plane.platform.auth.token_makers import TokensOfMaker
from control_plane.platform.identity_types import Grant, Person, PersonSession, Role
from control_plane.platform.problems import Problem

FIRST_OWNER = "owner"
PASSWORD_BYTES = 15
SESSION_ID_BYTES = 24
PARTS = ("anonymous", "guard", "identity-provider", "middleware", "rehearsal", "schedule", "system")
RESERVED = frozenset((*PARTS, "backfill", "billing", "credits", "drill"))
"""The actors that are no people. Nobody may leave entries under their names."""
USERNAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")


def create_person(
    session: Session, username: str, *, password: str | None, role: Role | str, now: datetime, actor: str = "system"
) -> Person:
    """Let somebody sign in. Raises Problem for a name that can't be used or is taken, and for a weak password.

    Without a password nobody signs in as them by one, until they are given one.
    """
    name = account_name(username)
    if name in RESERVED:
        detail = f"{name} is what a part of this program is called in the audit trail; choose another name."
        raise Problem(422, "INVALID_USERNAME", detail)
    if not USERNAME.fullmatch(name):
        rule = "2 to 64 letters, digits and . _ @ + -, a letter or digit first"
        raise Problem(422, "INVALID_USERNAME", f"The username {username[:64]!r} can't be used; write {rule}.")
    person = _add(session, name, password, parse_role(role), now=now, actor=actor)
    if person is None:
        raise Problem(409, "USERNAME_TAKEN", f"There is somebody called {name} already; choose another name.")
    return person


def add_person(session: Session, username: str, role: Role | str, *, now: datetime, actor: str = "system") -> str:
    """Let somebody sign in; returns the password made for them, to be shown once."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    create_person(session, username, password=password, role=role, now=now, actor=actor)
    return password


def ensure_first_owner(session: Session, now: datetime) -> str | None:
    """Make the first owner where nobody exists; returns their password, to be shown once, else None."""
    if not account_store.is_empty(session):
        return None
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    # Of two processes that start together one makes the owner, and only its password is true.
    return password if _add(session, FIRST_OWNER, password, Role.ADMIN, now=now, actor="system") else None


def credentials_for(session: Session, username: str) -> tuple[Person | None, str]:
    """Return the person who is said to sign in, and the hash that their password has to fit."""
    name = account_name(username)
    return (account_store.credentials(session, name) if USERNAME.fullmatch(name) else None) or (None, NOBODY)


def verify_password(person: Person | None, password_hash: str, password: str) -> Person | None:
    """Return the person, where the password proves it; this takes its time and needs no database."""
    # Checked for nobody too, before anything else is looked at: the time that it takes tells nobody which names exist.
    proved = is_password(password_hash, password)
    return person if person and proved and person.disabled_at is None else None


def account_name(username: str) -> str:
    """Return the username as it is stored, whichever way it was typed."""
    return username.strip().lower()


def begin_session(
    session: Session, person: Person, *, now: datetime, lifetime: timedelta, address: str, browser: str
) -> str:
    """Begin a session of somebody and forget those that are too old to count; returns its id."""
    session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
    account_store.remove_sessions(session, before=now - lifetime)
    account_store.add_session(session, person, PersonSession(session_id, now, address, browser))
    return session_id


def person_of_session(session: Session, session_id: str) -> Person | None:
    """Return the person of a session; None when they have signed out."""
    return account_store.person_of_session(session, session_id)


def end_session(session: Session, session_id: str) -> Person | None:
    """End one session, in every process; returns whose it was, None where it had ended."""
    person = account_store.person_of_session(session, session_id)
    account_store.remove_session(session, session_id)
    return person


def record_sign_in(session: Session, person: Person, *, address: str, method: str, now: datetime) -> None:
    """Note in the audit trail that somebody has signed in, from where and how."""
    _audit(session, "sign_in", person, now=now, actor=person.username, after={"address": address, "method": method})


def record_sign_out(session: Session, person: Person, *, address: str, now: datetime) -> None:
    """Note in the audit trail that somebody has signed out."""
    _audit(session, "sign_out", person, now=now, actor=person.username, after={"address": address})


def session_version(session: Session, person_id: int) -> int:
    """Return what a cookie of this person must say to count."""
    return find_person(session, person_id).session_version


def list_people(session: Session) -> list[Person]:
    """Return everyone, by username."""
    return account_store.people(session)


def change_password(session: Session, person_id: int, *, password: str, now: datetime, actor: str) -> None:
    """Give somebody a new password and end their sessions."""
    person = find_person(session, person_id)
    account_store.change_person(session, person_id, password_hash=hash_password(password, username=person.username))
    _audit(session, "change_password", person, now=now, actor=actor)


def change_role(session: Session, person_id: int, *, role: Role | str, now: datetime, actor: str) -> TokensOfMaker:
    """Give somebody another role everywhere and end their sessions. The last admin remains one.

    An admin token of somebody who is no admin any more would make them one again, so those are revoked.
    """
    person, wanted = find_person(session, person_id), parse_role(role)
    if wanted is not Role.ADMIN:
        _require_an_admin(session, person)
    account_store.change_person(session, person_id, role=wanted)
    before, after, tokens = {"role": person.role}, {"role": wanted}, TokensOfMaker()
    if person.role is Role.ADMIN and wanted is not Role.ADMIN:
        reason = f"{person.username} is no admin any more."
        tokens = token_makers.revoke_acting(session, person.username, ChangeContext(now, actor, reason))
    _audit(session, "change_role", person, now=now, actor=actor, before=before, after=after | tokens.documented)
    return tokens


def change_grants(
    session: Session, person_id: int, *, grants: Collection[Grant], now: datetime, actor: str, reason: str = ""
) -> None:
    """Let these be what somebody may in places, besides their role everywhere, and end their sessions."""
    person, documents = find_person(session, person_id), [grant_document(grant) for grant in check_grants(grants)]
    account_store.change_person(session, person_id, grants=documents)
    before = {"grants": [grant_document(grant) for grant in person.grants]}
    _audit(
        session,
        "change_grants",
        person,
        now=now,
        actor=actor,
        reason=reason,
        before=before,
        after={"grants": documents},
    )


def change_language(session: Session, person: Person, code: str | None, *, now: datetime, actor: str) -> None:
    """Let somebody read pages in this language; None goes by their browser."""
    account_store.set_language(session, person.id, code)
    before, after = {"language": person.language}, {"language": code}
    _audit(session, "change_language", person, now=now, actor=actor, before=before, after=after)


def link_identity(session: Session, person: Person, identity: str, *, now: datetime, actor: str) -> None:
    """Let an identity provider say from now on who this is."""
    account_store.set_identity(session, person.id, identity)
    _audit(session, "link_identity", person, now=now, actor=actor, after={"identity": identity})


def disable_person(session: Session, person_id: int, *, now: datetime, actor: str, reason: str = "") -> TokensOfMaker:
    """Lock somebody out, end their sessions and the admin tokens they made. The last admin can't be locked out."""
    person = find_person(session, person_id)
    _require_an_admin(session, person)
    account_store.change_person(session, person_id, disabled_at=now)
    locked_out = ChangeContext(now, actor, f"{person.username} was locked out.")
    tokens = token_makers.revoke_acting(session, person.username, locked_out)
    named = {"tokens_revoked": list(tokens.revoked), "tokens_in_force": list(tokens.in_force)}
    _audit(session, "disable", person, now=now, actor=actor, reason=reason, after=named)
    return tokens


def enable_person(session: Session, person_id: int, *, now: datetime, actor: str, reason: str = "") -> None:
    """Let somebody who was locked out sign in again, with the password and the role from before."""
    person = find_person(session, person_id)
    if person.disabled_at is None:
        raise Problem(409, "NOT_LOCKED", f"{person.username} is not locked out.")
    account_store.change_person(session, person_id, disabled_at=None)
    _audit(session, "enable", person, now=now, actor=actor, reason=reason)


def end_sessions(session: Session, person_id: int, *, now: datetime, actor: str) -> None:
    """Sign somebody out everywhere."""
    person = find_person(session, person_id)
    account_store.change_person(session, person_id)
    _audit(session, "end_sessions", person, now=now, actor=actor)


def _add(
    session: Session, username: str, password: str | None, role: Role, *, now: datetime, actor: str
) -> Person | None:
    password_hash = NOBODY if password is None else hash_password(password, username=username)
    person = account_store.add_person(session, username=username, password_hash=password_hash, role=role, now=now)
    if person is not None:
        _audit(session, "create", person, now=now, actor=actor, after={"role": role})
    return person


def active_person(session: Session, person_id: int) -> Person | None:
    """Return the person with this id, unless they are locked out."""
    person = account_store.person(session, person_id)
    return person if person and person.disabled_at is None else None


def find_person(session: Session, person_id: int) -> Person:
    """Return the person with this id. Raises a 404 Problem."""
    person = account_store.person(session, person_id)
    if person is None:
        raise Problem(404, "PERSON_NOT_FOUND", f"There is nobody with the id {person_id}.")
    return person


def _require_an_admin(session: Session, person: Person) -> None:
    others = account_store.active_admins(session) - {person.id}
    if person.role is Role.ADMIN and not others:
        raise Problem(409, "LAST_ADMIN", f"{person.username} is the last admin; make somebody else admin first.")


def _audit(
    session: Session, verb: str, person: Person, *, now: datetime, actor: str, reason: str = "", **changed: Any
) -> None:
    subject, change = f"person:{person.username}", ChangeContext(now, actor, reason)
    audit.record(session, change, action=f"person.{verb}", subject=subject, **changed)
