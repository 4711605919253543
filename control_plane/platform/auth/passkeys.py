"""Passkeys (WebAuthn): a device that knows who uses it, by a finger, a face or a number, and signs in for them.

It proves both what somebody has and who they are, so it needs no password, and stands in for the code of a second
factor. Only its public key is kept here.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import account_store, audit
from control_plane.platform.identity_types import Passkey, Person
from control_plane.platform.problems import Problem

PASSKEYS_MAX = 20
NAME_CHARACTERS = 40
HANDLE = re.compile(rb"[1-9][0-9]{0,17}")
"""The id of a person: no larger than databases have one."""
QUESTION_SECONDS = 300
"""How long a question may be answered."""
ANSWERS_MAX = 100
"""So many answers of one passkey count within that time, since each is remembered until then."""

State = Mapping[str, Any]
"""What the server remembers of a question that it asked: its challenge."""

if TYPE_CHECKING:
    from control_plane.platform.auth.relying_party import RelyingParty


@dataclass(frozen=True, slots=True)
class RegistrationAnswer:
    """The answer of a device that is to sign somebody in: what was asked, on which host, and its credential."""

    state: State
    host: str
    credential: str


def registration(person: Person, host: str) -> tuple[dict[str, object], State]:
    """Return what the browser is asked in order to make a passkey for `host`, and what must be remembered of it."""
    return _relying_party(host).begin_registration(person.username, _handle(person), _public_keys(person.passkeys))


def add(session: Session, person: Person, answer: RegistrationAnswer, *, name: str, now: datetime) -> Passkey:
    """Let the passkey that answered sign `person` in from now on.

    Every session of theirs ends: one that was begun by the password alone must not count as begun by both. Raises
    Problem: 422 for an answer that proves nothing, 409 for one too many.
    """
    known = account_store.passkeys(session, person.id)
    if len(known) >= PASSKEYS_MAX:
        raise Problem(409, "TOO_MANY_PASSKEYS", f"There are {PASSKEYS_MAX} passkeys already; remove one first.")
    try:
        proved = _relying_party(answer.host).complete_registration(answer.state, answer.credential)
    except Exception as error:  # whatever is wrong with what a stranger sent, it proves nothing
        raise Problem(422, "WRONG_PASSKEY", "The device's answer does not fit; begin again.") from error
    if any(each.id == proved.id for each in known):
        raise Problem(422, "WRONG_PASSKEY", "The device has a passkey for this account already.")
    made = Passkey(
        id=proved.id,
        name=_readable(name) or "Passkey",
        public_key=proved.public_key,
        signatures=0,
        added_at=now,
    )
    account_store.set_passkeys(session, person.id, [*known, made])
    account_store.change_person(session, person.id)
    _audit(session, "add", person, now=now, after={"name": made.name})
    return made


def question(person: Person | None, host: str) -> tuple[dict[str, object], State]:
    """Return what a browser is asked to prove who somebody is: `person`, or whoever the device says that they are."""
    return _relying_party(host).begin_authentication(_public_keys(person.passkeys) if person else None)


def claimed_id(credential: str, *, host: str) -> int | None:
    """Return the id of the person whom the answer speaks of; None where it names nobody."""
    try:
        handle = _relying_party(host).user_handle(credential)
        return int(handle) if handle and HANDLE.fullmatch(handle) else None
    except Exception:  # as above
        return None


def check(session: Session, person: Person, state: State, credential: str, *, host: str, now: datetime) -> bool:
    """Return whether the answer was signed by a passkey of `person`, for the first time; its use is noted."""
    known = account_store.passkeys(session, person.id)
    try:
        proved = _relying_party(host).complete_authentication(state, _public_keys(known), credential)
    except Exception:  # as above
        return False
    used = next(each for each in known if each.id == proved.id)
    # A device that counts its signatures never counts backwards: this one was copied.
    if (used.signatures or proved.signatures) and proved.signatures <= used.signatures:
        _audit(session, "refuse", person, now=now, after={"name": used.name, "reason": "It was copied."})
        return False
    # Most devices count nothing, and a cookie that somebody kept holds its question still: so it is known here, too.
    answered = {each: at for each, at in used.answered.items() if now.timestamp() - at <= QUESTION_SECONDS}
    if state["challenge"] in answered or len(answered) >= ANSWERS_MAX:
        return False
    answered[state["challenge"]] = now.timestamp()
    after = replace(used, signatures=proved.signatures, used_at=now, answered=answered)
    account_store.set_passkeys(session, person.id, [after if each is used else each for each in known])
    return True


def remove(session: Session, person: Person, passkey_id: str, *, now: datetime) -> Passkey:
    """Let this passkey sign nobody in any more, and end every session, since it may have begun one.

    Raises a 404 Problem.
    """
    known = account_store.passkeys(session, person.id)
    found = next((each for each in known if secrets.compare_digest(each.id.encode(), passkey_id.encode())), None)
    if found is None:
        raise Problem(404, "PASSKEY_NOT_FOUND", "There is no such passkey any more.")
    account_store.set_passkeys(session, person.id, [each for each in known if each is not found])
    account_store.change_person(session, person.id)
    _audit(session, "remove", person, now=now, after={"name": found.name})
    return found


def _relying_party(host: str) -> "RelyingParty":
    from control_plane.platform.auth.relying_party import RelyingParty  # noqa: PLC0415 - heavy, and rarely needed

    return RelyingParty(host)


def _readable(name: str) -> str:
    """Return a name as a page, a cookie and the audit trail can hold it: printable, on one line."""
    return "".join(each if each.isprintable() else " " for each in name).strip()[:NAME_CHARACTERS].strip()


def _handle(person: Person) -> bytes:
    return str(person.id).encode()


def _public_keys(passkeys: Sequence[Passkey]) -> Sequence[str]:
    return [each.public_key for each in passkeys]


def _audit(session: Session, verb: str, person: Person, *, now: datetime, after: Mapping[str, object]) -> None:
    change, subject = ChangeContext(now, person.username), f"person:{person.username}"
    audit.record(session, change, action=f"person.{verb}_passkey", subject=subject, after=after)
