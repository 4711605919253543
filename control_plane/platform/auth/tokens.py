"""Tokens of services, SDKs and webhooks: shown once, stored as digests, checked from memory, ended within a second."""

import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hmac import compare_digest
from types import MappingProxyType
from typing import Protocol

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import settings
from control_plane.platform.auth import account_store, audit, token_backup
from control_plane.platform.auth.new_tokens import (
    check_name_and_expiry,
    environment_of,
    projects_of,
    role_of,
    token_type,
)
from control_plane.platform.auth.token_cache import CONFIRM_SECONDS, TokenCache
from control_plane.platform.db.database import after_commit, read_only, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.identity_types import (
    EVERY,
    Role,
    Token,
    TokenRefusal,
    TokenType,
    token_digest,
    token_selector,
    token_text,
)
from control_plane.platform.problems import Problem, is_transient
from control_plane.platform.runtime import jobs

WRITE_SECONDS = 60
ACTOR_PREFIX = "token:"
"""How the name of an actor begins that is a token."""
FILE_NAME = "tokens.json"
NO_GIVERS: Mapping[str, Collection[str]] = MappingProxyType({})
UNKNOWN = TokenRefusal("This installation does not know the token; check that all of it was copied.")


class TokenVerifier(Protocol):
    """The tokens of an application that has no database of its own."""

    def check(self, text: str, now: datetime) -> Token | TokenRefusal:
        """Return the token this text proves, or why it opens nothing."""

    def is_remembered(self, text: str) -> bool:
        """Return whether `check` asks nobody about this text."""

    def is_in_force(self, selector: str, now: datetime) -> bool:
        """Return whether the token with this selector is still valid."""


CACHE = AppState[TokenCache]("token_cache")
VERIFIER = AppState[TokenVerifier | None]("token_verifier", lambda: None)
"""Decides in place of the cache where it is set."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token to be made. Only admin tokens have a role, that of an admin unless `role` says less.

    Such a token opens every environment, whichever is given. One with less may be held to `flags` and its environment,
    or `*`. `trusted_attributes` are the user attributes that its caller may assert over our own directory; "*" stands
    for all.
    """

    name: str
    kind: TokenType | str
    environment: str
    expires_at: datetime | None = None
    trusted_attributes: Collection[str] = ()
    role: Role | str = ""
    flags: Collection[str] = ()
    projects: Collection[str] = ()
    """The projects whose flags a token of an SDK or a browser shows; none for all."""


def create_token(session: Session, new: NewToken, *, now: datetime, actor: str = "system") -> str:
    """Store a token and return its text, which can't be shown again. Raises Problem for what can't be used."""
    kind = token_type(new.kind)
    _check_maker(session, actor)
    held = role_of(kind, new.role, new.flags)
    opens_all = held is Role.ADMIN or (held and new.environment == EVERY)
    environment = EVERY if opens_all else environment_of(new.environment)
    check_name_and_expiry(new.name.strip(), new.expires_at, now=now)
    projects = projects_of(kind, new.projects)
    selector = secrets.token_urlsafe(16)
    text = token_text(kind, environment, selector, secrets.token_urlsafe(32), projects=projects)
    scope = {
        "type": kind,
        "environment": environment,
        "expires_at": new.expires_at,
        "trusted_attributes": sorted(new.trusted_attributes),
        "role": held,
        "flags": sorted(set(new.flags)),
        "projects": projects,
    }
    names = {"name": new.name.strip(), "selector": selector, "digest": token_digest(text)}
    token = account_store.add_token(session, created_at=now, created_by=actor, **names, **scope)
    _audit(session, "create", token, ChangeContext(now, actor), after=scope)
    return text


def list_tokens(session: Session) -> list[Token]:
    """Return every token, the newest first, those that have ended too."""
    return account_store.tokens(session)


def people_behind(session: Session, actor: str, *, givers: Mapping[str, Collection[str]] = NO_GIVERS) -> frozenset[str]:
    """Return the people who act under this name: a token counts as whoever made it, also through other tokens.

    Tokens may share a name, so there may be several; those that have ended count as well. An account counts as those
    who gave it access besides, where `givers` names some.
    """
    makers: dict[str, set[str]] = {}
    for each in account_store.tokens(session):
        makers.setdefault(f"{ACTOR_PREFIX}{each.name}", set()).add(each.created_by)
    found, waiting, visited = set[str](), [actor], set[str]()
    while waiting:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        if name in makers:
            waiting.extend(makers[name])
        else:
            found.add(name)
            waiting.extend(givers.get(name, ()))
    return frozenset(found or {actor})


def revoked_actors(session: Session) -> frozenset[str]:
    """Return the actors whose tokens were revoked, every one of the name: whatever they did may be a thief's."""
    tokens = account_store.tokens(session)
    named = {f"{ACTOR_PREFIX}{each.name}" for each in tokens}
    return frozenset(named - {f"{ACTOR_PREFIX}{each.name}" for each in tokens if each.revoked_at is None})


def _check_maker(session: Session, actor: str) -> None:
    """Raise Problem where `actor` was locked out, or their token revoked, since this request was let in.

    Whoever locks somebody out at this moment waits, and then finds the token that is being made.
    """
    people = {each.username: each for each in account_store.lock_people(session, people_behind(session, actor))}
    maker = people.get(actor)
    named = [each for each in account_store.tokens(session) if f"{ACTOR_PREFIX}{each.name}" == actor]
    if (maker and maker.disabled_at) or (named and all(each.revoked_at for each in named)):
        raise Problem(403, "LOCKED_OUT", f"{actor} may make no token any more.")


def revoke_token(session: Session, token_id: int, *, now: datetime, actor: str, reason: str = "") -> None:
    """End a token: in this process at the commit, in every other within a second. Repeating it changes nothing."""
    token = account_store.token(session, token_id)
    if token is None:
        raise Problem(404, "TOKEN_NOT_FOUND", f"There is no token with the id {token_id}.")
    if account_store.revoke(session, token_id, now):
        _audit(session, "revoke", token, ChangeContext(now, actor, reason))
        # Not before the commit: a request in between would read the token back into the cache as still in force.
        after_commit(session, partial(CACHE.get().forget, token.selector))


def check_token(text: str, now: datetime) -> Token | TokenRefusal:
    """Return the token this text proves, or why it opens nothing.

    Raises the database's error for a token this process doesn't know yet while the database can't answer.
    """
    if (verifier := VERIFIER.get()) is not None:
        return verifier.check(text, now)
    selector, cache = token_selector(text), CACHE.get()
    token = cache.find(selector) if selector else None
    # The selector finds the row, the rest of the text proves it, compared in constant time: only that part is secret.
    if token is None or not compare_digest(token.digest, token_digest(text)):
        return UNKNOWN
    if (refusal := _expired(token, now)) is not None:
        return refusal
    cache.record_use(token.id, now)
    return token


def is_remembered(app: Flask, text: str) -> bool:
    """Return whether this process can check the text by itself, and without the database."""
    if (verifier := VERIFIER.get(app)) is not None:
        return verifier.is_remembered(text)
    selector = token_selector(text)
    return selector is not None and CACHE.get(app).holds(selector)


def is_in_force(selector: str, now: datetime) -> bool:
    """Return whether the token with this selector is still valid, for a stream opened with it some time ago."""
    if (verifier := VERIFIER.get()) is not None:
        return verifier.is_in_force(selector, now)
    token = CACHE.get().find(selector)
    return token is not None and _expired(token, now) is None


def init_app(app: Flask, *, clock: Callable[[], float] = time.monotonic) -> None:
    """Give the application its memory of tokens; the schedule keeps it confirmed once it runs."""
    cache = TokenCache(_fetch, _load_backup, is_transient, clock=clock)
    CACHE.set(app, cache)
    jobs.jobs_of(app).run_on_all(CONFIRM_SECONDS, "confirm-tokens", lambda _now: cache.confirm())
    jobs.jobs_of(app).run_on_all(WRITE_SECONDS, "note-tokens", lambda _now: write_uses())


def write_uses() -> None:
    """Store when tokens were last used, and the tokens in force for a start without the database."""
    uses = CACHE.get().take_uses()
    try:
        with transaction() as session:
            account_store.touch_last_seen(session, uses)
    except Exception:
        for token_id, at in uses.items():
            CACHE.get().record_use(token_id, at)
        raise
    with read_only() as session:
        live = [token for token in account_store.tokens(session) if token.revoked_at is None]
    token_backup.write(settings.current().instance_dir / FILE_NAME, live)


def _expired(token: Token, now: datetime) -> TokenRefusal | None:
    if token.revoked_at is not None:
        return TokenRefusal(f"The token {token.name!r} was revoked; ask for a new one.")
    if token.expires_at is not None and token.expires_at <= now:
        return TokenRefusal(f"The token {token.name!r} expired at {token.expires_at.isoformat()}; ask for a new one.")
    return None


def _fetch(selectors: Collection[str]) -> Mapping[str, Token]:
    with read_only() as session:
        return account_store.tokens_by_selector(session, selectors)


def _load_backup() -> Mapping[str, Token]:
    return token_backup.read(settings.current().instance_dir / FILE_NAME)


def _audit(
    session: Session,
    verb: str,
    token: Token,
    change: ChangeContext,
    *,
    after: Mapping[str, object] | None = None,
) -> None:
    audit.record(session, change, action=f"token.{verb}", subject=f"token:{token.name}", after=after)
