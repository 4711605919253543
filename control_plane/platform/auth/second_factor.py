"""A second factor beside the password: a code of six digits that changes every half minute (TOTP, RFC 6238).

A code counts once. Ten recovery codes stand in for a lost device, each once too.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import pyotp
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import account_store, audit
from control_plane.platform.auth.account_store import SecondFactor
from control_plane.platform.identity_types import Person
from control_plane.platform.problems import Problem
from control_plane.platform.settings import current

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

ISSUER = "Rollout"
STEP_SECONDS = 30
DRIFT_STEPS = 1
"""How many steps a device's clock may be off, either way."""
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
PURPOSE = b"second factor"
NOISE = re.compile(r"[\s-]")


def new_secret() -> str:
    """Make a secret for a device to be shown."""
    return pyotp.random_base32()


def address(person: Person, secret: str) -> str:
    """Return what a device reads from a picture or a link."""
    return pyotp.TOTP(secret).provisioning_uri(name=person.username, issuer_name=ISSUER)


def enable(session: Session, person: Person, secret: str, code: str, *, now: datetime) -> Sequence[str]:
    """Ask for codes of this secret from now on; returns the recovery codes, to be shown once.

    Every session of theirs ends: one that was begun by the password alone must not count as begun by both. Raises a 422
    Problem for a code that shows that the device has another secret, or another time, 409 where codes are asked for
    already.
    """
    # Else the password alone would put another device in the place of the one that it is to be asked for with.
    if account_store.second_factor(session, person.id) is not None:
        raise Problem(
            409,
            "SECOND_FACTOR_EXISTS",
            "An authenticator app is set up already; remove it first, with one of its codes.",
        )
    step = _step_of(secret, NOISE.sub("", code), now, after=0)
    if step is None:
        detail = "The code does not fit; check the time of the device, and type what it shows now."
        raise Problem(422, "WRONG_CODE", detail)
    codes = [_grouped(secrets.token_hex(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]
    sealed = _cipher().encrypt(secret.encode()).decode()
    stored = SecondFactor(sealed, step, tuple(_digest(each) for each in codes))
    account_store.set_second_factor(session, person.id, stored)
    account_store.change_person(session, person.id)
    _audit(session, "enable", person, ChangeContext(now, person.username))
    return codes


def check(session: Session, person: Person, code: str, *, now: datetime) -> bool:
    """Return whether this code proves who has the device, or a recovery code; either is then used up."""
    found = account_store.second_factor(session, person.id)
    if found is None:
        return False
    typed = NOISE.sub("", code).lower()
    step = _step_of(_secret(found.secret), typed, now, after=found.step)
    if step is not None:
        account_store.set_second_factor(session, person.id, found.used(step))
        return True
    digest = _digest(typed)
    if not any(hmac.compare_digest(digest, each) for each in found.recovery_codes):
        return False
    left = found.without(digest)
    account_store.set_second_factor(session, person.id, left)
    after = {"left": len(left.recovery_codes)}
    _audit(session, "use_recovery_code_of", person, ChangeContext(now, person.username), after=after)
    return True


def remove(session: Session, person: Person, *, now: datetime, actor: str, reason: str = "") -> None:
    """Ask for no code from now on. Raises a 409 Problem where none is asked for."""
    if not person.has_device:
        raise Problem(409, "NO_SECOND_FACTOR", f"{person.username} has no second factor with codes.")
    account_store.set_second_factor(session, person.id, None)
    _audit(session, "remove", person, ChangeContext(now, actor, reason))


def reset(session: Session, person: Person, *, now: datetime, actor: str, reason: str = "") -> None:
    """Ask for the password alone from now on: for somebody who has lost device and passkeys.

    Every session of theirs ends, since whoever found the device may have begun one. Raises a 409 Problem where no more
    is asked for.
    """
    if not person.has_second_factor:
        raise Problem(409, "NO_SECOND_FACTOR", f"{person.username} has no second factor.")
    account_store.set_second_factor(session, person.id, None)
    account_store.set_passkeys(session, person.id, [])
    account_store.change_person(session, person.id)
    _audit(session, "remove", person, ChangeContext(now, actor, reason))


def _step_of(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """Return the step that a code belongs to, among those near now and after the last one used."""
    present = int(now.timestamp()) // STEP_SECONDS
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        if step > after and secret and hmac.compare_digest(pyotp.HOTP(secret).at(step).encode(), code.encode()):
            return step
    return None


def _secret(sealed: str) -> str:
    """Return the secret itself; empty where it was sealed with a key that is known no more."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415 - heavy, and only who has such a device needs it

    try:
        return _cipher().decrypt(sealed.encode()).decode()
    except InvalidToken:
        return ""


def _cipher() -> "MultiFernet":
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415 - as above

    # Whoever reads the database, or a backup of it, must not be able to make codes.
    keys = (hmac.digest(secret.encode(), PURPOSE, "sha256") for secret in current().secret_keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys])


def _digest(code: str) -> str:
    """Return the hash stored of a recovery code. A plain one is enough: 80 random bits can't be guessed."""
    return hashlib.sha256(NOISE.sub("", code).lower().encode()).hexdigest()


def _grouped(code: str) -> str:
    return "-".join(code[place : place + 5] for place in range(0, len(code), 5))


def _audit(
    session: Session,
    verb: str,
    person: Person,
    change: ChangeContext,
    *,
    after: Mapping[str, object] | None = None,
) -> None:
    action, subject = f"person.{verb}_second_factor", f"person:{person.username}"
    audit.record(session, change, action=action, subject=subject, after=after)
