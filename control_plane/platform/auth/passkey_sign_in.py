"""Signing in by a passkey, instead of by a password or after one."""

from datetime import datetime

import structlog
from flask import request, session

from control_plane.platform.auth import accounts, authentication, passkeys, rate_limit, sign_in_failures
from control_plane.platform.auth.sign_in_failures import Limit
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Person
from control_plane.platform.problems import Problem

PASSKEY = "passkey"
"""In the cookie, the question that a passkey is to answer."""

log = structlog.get_logger()


def question(*, now: datetime) -> dict[str, object]:
    """Return what this browser is asked: for a passkey of whoever proved their password, else for anybody's."""
    options, state = passkeys.question(authentication.proved_person(), request.host)
    session[PASSKEY] = {**state, "at": now.timestamp()}
    return options


def sign_in(credential: str, *, now: datetime) -> Person:
    """Start a session of whoever a passkey proves: it says who has it, and the device has checked who uses it.

    Raises Problem: 401 for an answer that proves nobody or after too long, 429 after too many.
    """
    state = session.pop(PASSKEY, None)
    if state is None or now.timestamp() - state["at"] > passkeys.QUESTION_SECONDS:
        raise Problem(401, "SIGN_IN_AGAIN", "That took too long; sign in again.")
    network = rate_limit.network(authentication.address())
    limit = Limit(f"{sign_in_failures.NETWORK}{network}", rate_limit.SIGN_IN.amount)
    with (
        rate_limit.attempt((rate_limit.SIGN_IN, network)) as made,
        sign_in_failures.attempt((limit,), made, now),
    ):
        found = _proved(state, credential, now)
        made.failed = found is None
        if found is None:
            log.warning("person.passkey_failed", address=authentication.address())
            raise Problem(401, "WRONG_PASSKEY", "This passkey opens no account here; sign in in another way.")
    authentication.start_session(found, now=now, method="passkey")
    return found


def _proved(state: passkeys.State, credential: str, now: datetime) -> Person | None:
    number = passkeys.claimed_id(credential, host=request.host) or session.get("proved")
    if not isinstance(number, int):
        return None
    with transaction() as database_session:
        found = accounts.active_person(database_session, number)
        if found and passkeys.check(database_session, found, state, credential, host=request.host, now=now):
            return found
    return None
