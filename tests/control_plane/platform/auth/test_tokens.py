"""Tokens: shown once, kept as digests, checked from memory, ended within a second, never refused by an outage."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from control_plane.platform.auth import account_store, audit, tokens
from control_plane.platform.auth.token_cache import CONFIRM_SECONDS, TTL_SECONDS
from control_plane.platform.auth.tokens import CACHE, NewToken, check_token, create_token, list_tokens, revoke_token
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Token, TokenRefusal, TokenType, token_digest
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs
from tests.statements import noted


@pytest.fixture(autouse=True)
def context(app: Flask) -> object:
    """Time stands still for the memory of tokens, so that a slow machine changes no answer."""
    tokens.init_app(app, clock=lambda: 0.0)
    with app.app_context():
        yield


def make(now: datetime, kind: str = "client", environment: str = "production", name: str = "web", **given: Any) -> str:
    with transaction() as session:
        return create_token(session, NewToken(name, kind, environment=environment, **given), now=now, actor="alice")


def stored() -> Token:
    with read_only() as session:
        return list_tokens(session)[0]


def revoke(now: datetime) -> None:
    with transaction() as session:
        revoke_token(session, stored().id, now=now, actor="alice", reason="leaked")


def checked(text: str, now: datetime) -> Token:
    found = check_token(text, now)
    assert isinstance(found, Token)
    return found


def counting(act: Callable[[], object]) -> int:
    with noted() as sent:
        act()
    return len(sent)


def unplug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(account_store, "tokens_by_selector", fail)


@pytest.mark.parametrize(
    ("kind", "scope"),
    [("client", r"\*:production"), ("frontend", r"\*:production"), ("service", "svc:production"), ("admin", r"\*:\*")],
)
def test_its_text_has_the_form_that_unleash_tokens_have(now: datetime, kind: str, scope: str) -> None:
    text = make(now, kind)
    assert re.fullmatch(scope + r"\.v2_[A-Za-z0-9_-]{22}_[A-Za-z0-9_-]{43}", text)
    assert checked(text, now).type is TokenType(kind)


@pytest.mark.parametrize(
    ("projects", "scope"),
    [
        (["shop"], "shop"),
        ([" shop "], "shop"),
        (["shop", "web"], "[]"),
        (["a.b"], "[]"),
        (["日本"], "[]"),
        (["*"], "*"),
    ],
)
def test_its_text_begins_with_its_project_where_it_is_one(now: datetime, projects: list[str], scope: str) -> None:
    text = make(now, projects=projects)
    assert text.startswith(f"{scope}:production.")
    assert checked(text, now).projects == (() if scope == "*" else tuple(each.strip() for each in projects))


def test_its_secret_is_stored_nowhere(now: datetime) -> None:
    text = make(now)
    secret = text[-43:]
    token = stored()
    with read_only() as session:
        entries = audit.latest(session)
    assert secret not in repr(token)
    assert secret not in str([(entry.before, entry.after) for entry in entries])
    assert token.digest not in repr(token)
    assert token.digest == token_digest(text)


def test_it_proves_what_it_was_made_for(now: datetime) -> None:
    expires_at = now + timedelta(days=30)
    text = make(now, "service", "staging", expires_at=expires_at, trusted_attributes=["plan", "signupDate"])
    token = checked(text, now)
    assert (token.name, token.environment, token.expires_at) == ("web", "staging", expires_at)
    assert token.trusts("plan")
    assert not token.trusts("beta")


def test_a_star_trusts_every_attribute(now: datetime) -> None:
    assert checked(make(now, trusted_attributes=["*"]), now).trusts("anything")


def test_the_listing_shows_the_newest_first(now: datetime) -> None:
    make(now)
    make(now, "admin")
    with read_only() as session:
        assert [each.type for each in list_tokens(session)] == [TokenType.ADMIN, TokenType.CLIENT]


def test_a_changed_character_anywhere_opens_nothing(now: datetime) -> None:
    text = make(now)
    for place in range(len(text)):
        other = "A" if text[place] != "A" else "B"
        assert isinstance(check_token(text[:place] + other + text[place + 1 :], now), TokenRefusal)


@pytest.mark.database("sqlite")
def test_what_cannot_be_a_token_is_refused_without_asking_the_database(now: datetime) -> None:
    for text in ("", "x", "*:production.v2_", "*:production." + "0" * 56, "é" * 70, "a.b.c", "\x00"):
        assert counting(partial(check_token, text, now)) == 0
        assert check_token(text, now) == tokens.UNKNOWN


def test_a_token_used_again_needs_no_database(now: datetime) -> None:
    text = make(now)
    checked(text, now)
    assert counting(lambda: [checked(text, now) for _ in range(50)]) == 0


def test_a_token_ends_when_it_expires(now: datetime) -> None:
    expires_at = now + timedelta(hours=1)
    text = make(now, expires_at=expires_at)
    checked(text, expires_at - timedelta(microseconds=1))
    refusal = check_token(text, expires_at)
    assert isinstance(refusal, TokenRefusal)
    assert "expired" in refusal.reason


def test_a_revoked_token_ends_at_once_in_the_process_that_revoked_it(now: datetime) -> None:
    text = make(now)
    checked(text, now)
    revoke(now)
    refusal = check_token(text, now)
    assert isinstance(refusal, TokenRefusal)
    assert "revoked" in refusal.reason


def test_a_revocation_by_another_process_is_in_force_after_the_next_confirmation(app: Flask, now: datetime) -> None:
    text = make(now)
    token = checked(text, now)
    with transaction() as session:
        account_store.revoke(session, token.id, now)
    checked(text, now)
    CACHE.get(app).confirm()
    assert isinstance(check_token(text, now), TokenRefusal)


def test_the_schedule_confirms_tokens_in_every_process_and_notes_their_use(app: Flask) -> None:
    work = jobs.jobs_of(app)
    scheduled = {each.name: each.seconds for each in [*work._schedule.work, *work._rare]}
    assert scheduled["confirm-tokens"] == CONFIRM_SECONDS
    assert CONFIRM_SECONDS < TTL_SECONDS < 1
    assert scheduled["note-tokens"] == 60


def test_a_revocation_that_is_rolled_back_ends_nothing(now: datetime) -> None:
    text = make(now)
    with pytest.raises(Problem), transaction() as session:  # noqa: PT012 - the second call undoes the first
        revoke_token(session, stored().id, now=now, actor="alice")
        revoke_token(session, 404, now=now, actor="alice")
    checked(text, now)


def test_revoking_twice_keeps_the_first_instant_and_one_trace(now: datetime) -> None:
    make(now)
    revoke(now)
    revoke(now + timedelta(days=1))
    assert stored().revoked_at == now
    with read_only() as session:
        entries = audit.latest(session, subject="token:web")
    assert [(entry.action, entry.reason) for entry in entries] == [("token.revoke", "leaked"), ("token.create", "")]


def test_an_outage_refuses_no_token_that_was_used_before(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make(now)
    checked(text, now)
    unplug(monkeypatch)
    for _ in range(3):
        CACHE.get(app).confirm()
        checked(text, now)


def test_an_outage_is_not_taken_for_a_wrong_token(now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make(now)
    unplug(monkeypatch)
    with pytest.raises(OperationalError):
        check_token(text, now)


def test_a_start_during_an_outage_knows_the_tokens_kept_on_disk(
    app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = make(now)
    tokens.write_uses()
    tokens.init_app(app, clock=lambda: 0.0)
    unplug(monkeypatch)
    checked(text, now)


def test_a_revoked_token_is_not_kept_on_disk(app: Flask, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    text = make(now)
    revoke(now)
    tokens.write_uses()
    tokens.init_app(app, clock=lambda: 0.0)
    unplug(monkeypatch)
    with pytest.raises(OperationalError):
        check_token(text, now)


def test_its_last_use_is_noted_later_and_never_moves_back(now: datetime) -> None:
    text = make(now)
    checked(text, now)
    assert stored().last_seen_at is None
    tokens.write_uses()
    assert stored().last_seen_at == now
    checked(text, now - timedelta(hours=1))
    tokens.write_uses()
    assert stored().last_seen_at == now


def test_notes_that_could_not_be_stored_are_kept_for_the_next_time(
    now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked(make(now), now)
    with monkeypatch.context() as patch:
        patch.setattr(account_store, "touch_last_seen", lambda *_: (_ for _ in ()).throw(BrokenPipeError()))
        with pytest.raises(BrokenPipeError):
            tokens.write_uses()
    tokens.write_uses()
    assert stored().last_seen_at == now


@pytest.mark.database("sqlite")
def test_what_cannot_become_a_token_is_refused(now: datetime) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"kind": "root"}, "UNKNOWN_TOKEN_TYPE"),
        ({"environment": ""}, "INVALID_ENVIRONMENT"),
        ({"environment": "*"}, "INVALID_ENVIRONMENT"),
        ({"environment": "a.b"}, "INVALID_ENVIRONMENT"),
        ({"environment": "x" * 51}, "INVALID_ENVIRONMENT"),
        ({"expires_at": now}, "INVALID_EXPIRY"),
        ({"kind": "service", "projects": ["shop"]}, "INVALID_TOKEN_PROJECTS"),
        ({"kind": "admin", "projects": ["shop"]}, "INVALID_TOKEN_PROJECTS"),
        ({"projects": [" "]}, "INVALID_TOKEN_PROJECTS"),
        ({"projects": ["a\nb"]}, "INVALID_TOKEN_PROJECTS"),
        ({"projects": ["x" * 101]}, "INVALID_TOKEN_PROJECTS"),
        ({"projects": [str(number) for number in range(101)]}, "INVALID_TOKEN_PROJECTS"),
    ]
    refused += [({"name": name}, "INVALID_TOKEN_NAME") for name in ("", "  ", "x" * 101, "a\x00b", "a\nb")]
    for given, code in refused:
        with pytest.raises(Problem) as refusal:
            make(now, **given)
        assert refusal.value.code == code
    with read_only() as session:
        assert list_tokens(session) == []
