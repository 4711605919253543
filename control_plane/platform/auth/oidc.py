"""Sign-in by an identity provider (OpenID Connect): authorization code with PKCE, state and nonce, by Authlib.

Who somebody is, is the provider's word: issuer and subject, never a name that they may choose there. What they may
follows from their groups at each sign-in. Local accounts stay beside it, for the day on which the provider is away.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from flask import Flask, session
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from control_plane.platform.auth import account_store, accounts, authentication
from control_plane.platform.db.database import transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.group_roles import roles_of
from control_plane.platform.identity_types import Grant, Person, Role
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS, current

if TYPE_CHECKING:
    from control_plane.platform.auth.oidc_provider import Provider

ACTOR = "identity-provider"
METHOD = "identity provider"
NAMES = ("preferred_username", "email")
"""The claims that may be a username here, the first that there is."""
PROVIDER = AppState["Provider | None"]("oidc_provider", lambda: None)


def init_app(app: Flask) -> None:
    """Make the client where a provider is configured; nothing is fetched yet."""
    settings = SETTINGS.get(app)
    if not settings.oidc_issuer:
        return
    from control_plane.platform.auth.oidc_provider import Provider  # noqa: PLC0415 - heavy: authlib

    PROVIDER.set(app, Provider(app, settings))


def is_configured() -> bool:
    """Return whether people may sign in by a provider."""
    return PROVIDER.get() is not None


def send_to_provider(callback: str) -> Response:
    """Send a browser to the provider, to come back to `callback`. Raises a 503 Problem while the provider is away."""
    return _provider().send_there(callback)


def finish(*, now: datetime) -> Person:
    """Start the session of whoever comes back from the provider.

    Raises Problem: 401 for an answer that proves nothing, 403 for somebody who may not sign in, 503 while it is away.
    """
    claims = _proved_claims()
    groups = claims.get(current().oidc_groups_claim)
    role, grants = roles_of(groups if isinstance(groups, list) else [], current().oidc_roles)
    if role is None:
        with transaction() as database_session:
            _withdraw(database_session, claims, now)
        detail = "None of your groups may do anything here; ask an admin to name one of them in OIDC_ROLES."
        raise Problem(403, "NO_ROLE", detail)
    with transaction() as database_session:
        found = _person_of(database_session, claims, role, grants, now)
    authentication.start_session(found, now=now, method=METHOD)
    session[authentication.BY_PROVIDER] = True
    return found


def sign_out_address(back: str) -> str:
    """Return where a browser signs out of the provider too; empty where the provider has no such place."""
    place = _provider().sign_out_place()
    parameters = {"client_id": current().oidc_client_id, "post_logout_redirect_uri": back}
    return f"{place}?{urlencode(parameters)}" if place else ""


def _proved_claims() -> Mapping[str, object]:
    claims, more = _provider().claims()
    # The subject of both must be the same.
    subject = claims.get("sub")
    if (
        not subject
        or str(claims.get("iss")).rstrip("/") != current().oidc_issuer.rstrip("/")
        or more.get("sub", subject) != subject
    ):
        raise Problem(401, "NOT_PROVED", "The identity provider did not prove who you are; sign in again.")
    return {**more, **claims}


def _withdraw(database_session: Session, claims: Mapping[str, object], now: datetime) -> None:
    """Take away what earlier groups gave: sessions, tokens and approvals of before must not outlive it."""
    found = account_store.person_by_identity(database_session, _identity(claims))
    if found is None:
        return
    # Not locked out: where the provider forgets the groups of everybody for a moment, the next sign-in gives them back.
    accounts.change_role(database_session, found.id, role=Role.VIEWER, now=now, actor=ACTOR)
    if found.grants:
        accounts.change_grants(database_session, found.id, grants=(), now=now, actor=ACTOR)


def _identity(claims: Mapping[str, object]) -> str:
    return f"{claims['iss']} {claims['sub']}"


def _person_of(
    database_session: Session, claims: Mapping[str, object], role: Role, grants: Sequence[Grant], now: datetime
) -> Person:
    """Find or add the person of an identity, and let them have what their groups give."""
    identity = _identity(claims)
    found = account_store.person_by_identity(database_session, identity)
    if found is None:
        found = _added(database_session, identity, claims, role, now)
    if found.disabled_at is not None:
        raise Problem(403, "LOCKED_OUT", f"{found.username} is locked out here; ask an admin.")
    if found.role is not role:
        accounts.change_role(database_session, found.id, role=role, now=now, actor=ACTOR)
    if set(found.grants) != set(grants):
        accounts.change_grants(database_session, found.id, grants=grants, now=now, actor=ACTOR)
    return accounts.find_person(database_session, found.id)


def _added(database_session: Session, identity: str, claims: Mapping[str, object], role: Role, now: datetime) -> Person:
    name = next((str(claims[each]) for each in NAMES if claims.get(each)), "")
    username = accounts.account_name(name)
    waiting = account_store.person_without_proof(database_session, username)
    if waiting is None and account_store.credentials(database_session, username):
        detail = (
            f"Somebody else has the account {username[:64]} here; ask an admin, or use another name at the provider."
        )
        raise Problem(409, "USERNAME_TAKEN", detail)
    # Somebody who was provisioned, and has neither a password nor an identity yet, is who was meant by the name. Nobody
    # else: a name at the provider must not open the account of whoever has the same name here.
    made = waiting or accounts.create_person(database_session, name, password=None, role=role, now=now, actor=ACTOR)
    accounts.link_identity(database_session, made, identity, now=now, actor=ACTOR)
    return accounts.find_person(database_session, made.id)


def _provider() -> "Provider":
    provider = PROVIDER.get()
    if provider is None:
        raise Problem(404, "NO_PROVIDER", "No identity provider is configured here; sign in with a password.")
    return provider
