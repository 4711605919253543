"""The people of the tests: alice is admin, olga operates, victor looks on. All have the same password."""

from collections.abc import Mapping
from datetime import UTC, datetime

import flask
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from control_plane.platform.auth import account_store, accounts, authentication
from control_plane.platform.auth.own_sessions import SESSION_LIFETIME
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Person, Role

CAST = {"alice": Role.ADMIN, "olga": Role.OPERATOR, "victor": Role.VIEWER}
PASSWORD = "the same for everybody here"
# Hashed as weakly as can be: the hash itself says how it is checked, so signing in costs the tests nothing.
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def invite(app: Flask, now: datetime) -> Mapping[str, Person]:
    """Let everybody in the cast sign in; their arrival leaves no trace in the audit trail."""
    with app.app_context(), transaction() as session:
        added = {
            name: account_store.add_person(session, username=name, password_hash=PASSWORD_HASH, role=role, now=now)
            for name, role in CAST.items()
        }
    return {name: person for name, person in added.items() if person is not None}


def signed_in(app: Flask, name: str) -> FlaskClient:
    """Return a browser of its own in which this person has signed in."""
    client = app.test_client()
    with app.test_request_context(), client.session_transaction() as kept:
        # The session's age is measured against the real clock, whatever the instant of the test; nothing is audited.
        now = datetime.now(UTC)
        with transaction() as session:
            person, _ = accounts.credentials_for(session, name)
            assert person is not None
            session_id = accounts.begin_session(
                session, person, now=now, lifetime=SESSION_LIFETIME, address="::1", browser=""
            )
        authentication.remember(person, session_id, now=now)
        kept.update(flask.session)
    return client


def authenticate(session: Session, username: str, password: str) -> Person | None:
    """Check a password as signing in does; None for a wrong one, an unknown name or a disabled account."""
    return accounts.verify_password(*accounts.credentials_for(session, username), password)
