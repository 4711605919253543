"""Tokens in memory: never older than a second while the database answers, never lost while it does not."""

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from control_plane.platform.auth.token_cache import PAUSE_SECONDS, TOKENS_MAX, TTL_SECONDS, TokenCache
from control_plane.platform.identity_types import Token, TokenType

THEN = datetime(2026, 3, 2, tzinfo=UTC)
NOTHING: Mapping[str, Token] = {}


def token(selector: str, number: int = 1) -> Token:
    return Token(
        id=number,
        name=selector,
        type=TokenType.CLIENT,
        environment="production",
        selector=selector,
        digest="-",
        trusted_attributes=(),
        created_at=THEN,
        created_by="alice",
        expires_at=None,
        revoked_at=None,
        last_seen_at=None,
    )


class Database:
    """A table of tokens that can be switched off, and that counts how often it is asked."""

    def __init__(self, *tokens: Token) -> None:
        self.tokens = {each.selector: each for each in tokens}
        self.asked = 0
        self.error: Exception | None = None
        self.seconds = 0.0

    def fetch(self, selectors: Collection[str]) -> Mapping[str, Token]:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return {each: self.tokens[each] for each in selectors if each in self.tokens}

    def clock(self) -> float:
        return self.seconds

    def revoke(self, selector: str) -> None:
        self.tokens[selector] = replace(self.tokens[selector], revoked_at=THEN)


@pytest.fixture
def database() -> Database:
    return Database(token("web"), token("app", 2))


@pytest.fixture
def cache(database: Database) -> TokenCache:
    return remembering(database, NOTHING)


def remembering(database: Database, recalled: Mapping[str, Token]) -> TokenCache:
    return TokenCache(
        database.fetch, lambda: recalled, lambda error: isinstance(error, ConnectionError), clock=database.clock
    )


def is_revoked(cache: TokenCache, selector: str) -> bool:
    found = cache.find(selector)
    return found is not None and found.revoked_at is not None


def test_a_token_is_asked_for_once_and_then_known(cache: TokenCache, database: Database) -> None:
    for _ in range(1000):
        assert cache.find("web") == token("web")
    assert database.asked == 1


def test_an_unknown_token_is_not_kept_so_that_a_new_one_works_at_once(cache: TokenCache, database: Database) -> None:
    assert cache.find("new") is None
    database.tokens["new"] = token("new")
    assert cache.find("new") == token("new")


def test_a_revocation_is_in_force_within_a_second_without_any_schedule(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    database.revoke("web")
    database.seconds += TTL_SECONDS + 0.01
    assert TTL_SECONDS < 1
    assert is_revoked(cache, "web")


def test_a_token_deleted_is_forgotten(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    del database.tokens["web"]
    cache.confirm()
    assert cache.find("web") is None


def test_confirming_on_schedule_spares_requests_every_question(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    cache.find("app")
    asked = database.asked
    for _ in range(10):
        database.seconds += TTL_SECONDS / 2
        cache.confirm()
        assert cache.find("web") == token("web")
        assert cache.find("app") == token("app", 2)
    assert database.asked == asked + 10


def test_an_outage_keeps_every_known_token_in_force(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    database.error = ConnectionError()
    for _ in range(100):
        database.seconds += 7.0
        assert cache.find("web") == token("web")


def test_during_an_outage_the_database_is_asked_once_a_second_at_most(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    database.error = ConnectionError()
    database.seconds += 60
    asked = database.asked
    for _ in range(1000):
        cache.find("web")
        database.seconds += PAUSE_SECONDS / 100
    assert database.asked - asked <= 11


def test_after_an_outage_what_was_revoked_meanwhile_is_in_force(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    database.error = ConnectionError()
    database.seconds += 60
    cache.find("web")
    database.error = None
    database.revoke("web")
    database.seconds += PAUSE_SECONDS
    assert is_revoked(cache, "web")


def test_a_token_nobody_knows_fails_with_the_outage_and_is_not_refused(cache: TokenCache, database: Database) -> None:
    database.error = ConnectionError()
    with pytest.raises(ConnectionError):
        cache.find("web")


def test_a_process_that_starts_during_an_outage_believes_what_an_earlier_one_knew(database: Database) -> None:
    database.error = ConnectionError()
    cache = remembering(database, {"web": token("web")})
    assert cache.find("web") == token("web")
    with pytest.raises(ConnectionError):
        cache.find("app")


def test_what_an_earlier_process_knew_counts_only_during_an_outage(database: Database) -> None:
    database.revoke("web")
    cache = remembering(database, {"web": token("web"), "old": token("old", 3)})
    assert is_revoked(cache, "web")
    assert cache.find("old") is None


def test_a_token_recalled_during_an_outage_is_confirmed_after_it(database: Database) -> None:
    database.error = ConnectionError()
    cache = remembering(database, {"web": token("web")})
    cache.find("web")
    database.error = None
    database.revoke("web")
    database.seconds += TTL_SECONDS + PAUSE_SECONDS
    assert is_revoked(cache, "web")


def test_a_second_outage_asks_anew_what_is_known_on_disk(database: Database) -> None:
    kept = {"web": token("web")}
    cache = remembering(database, kept)
    for selector in ("web", "app"):
        kept[selector] = token(selector)
        database.error = ConnectionError()
        assert cache.find(selector) == token(selector)
        database.error = None
        database.seconds += 60
        cache.confirm()
        kept = dict(kept)
        cache._load_backup = kept.copy


def test_a_defect_is_not_taken_for_an_outage(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    database.error = ZeroDivisionError()
    database.seconds += 60
    with pytest.raises(ZeroDivisionError):
        cache.find("web")


def test_a_forgotten_token_is_asked_for_again(cache: TokenCache, database: Database) -> None:
    cache.find("web")
    database.revoke("web")
    cache.forget("web")
    assert is_revoked(cache, "web")


def test_an_answer_older_than_the_forgetting_does_not_bring_a_token_back(database: Database) -> None:
    cache = remembering(database, NOTHING)
    cache.find("web")
    before = database.fetch(["web"])

    def slow_fetch(_: Collection[str]) -> Mapping[str, Token]:
        database.revoke("web")
        cache.forget("web")
        return before

    cache._fetch = slow_fetch
    cache.confirm()
    cache._fetch = database.fetch
    assert is_revoked(cache, "web")


def test_while_one_request_asks_the_others_go_on_with_what_is_known(database: Database) -> None:
    cache = remembering(database, NOTHING)
    cache.find("web")
    asking, answer = threading.Event(), threading.Event()

    def hanging_fetch(selectors: Collection[str]) -> Mapping[str, Token]:
        asking.set()
        assert answer.wait(10)
        return database.fetch(selectors)

    cache._fetch = hanging_fetch
    database.seconds += 60
    first = threading.Thread(target=cache.find, args=["web"])
    first.start()
    assert asking.wait(10)
    assert cache.find("web") == token("web")
    answer.set()
    first.join()


def test_it_holds_a_bounded_number_of_tokens() -> None:
    database = Database(*(token(f"t{number}", number) for number in range(TOKENS_MAX + 10)))
    cache = remembering(database, NOTHING)
    for selector in database.tokens:
        cache.find(selector)
    asked = database.asked
    cache.find("t0")
    assert database.asked == asked + 1
    cache.find(f"t{TOKENS_MAX + 9}")
    assert database.asked == asked + 1


def test_notes_of_use_are_handed_over_once_and_the_latest_wins(cache: TokenCache) -> None:
    later = THEN.replace(hour=1)
    cache.record_use(1, THEN)
    cache.record_use(1, later)
    assert cache.take_uses() == {1: later}
    assert cache.take_uses() == {}
