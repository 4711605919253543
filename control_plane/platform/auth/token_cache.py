"""Tokens in memory, so that a request needs no database and an outage locks nobody out.

Each entry was confirmed by the database within the last second. Older than that, it stays in force only while the
database can't answer: a fault of ours must never look like a revoked token, for SDKs stop asking after a 401.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import datetime

import structlog

from control_plane.platform.identity_types import Token

CONFIRM_SECONDS = 0.4
TTL_SECONDS = 0.9  # with the time a confirmation takes, a revocation is in force within one second
PAUSE_SECONDS = 1.0
MAX_WAIT_SECONDS = 0.25
TOKENS_MAX = 5_000

Fetch = Callable[[Collection[str]], Mapping[str, Token]]
"""The tokens with these selectors as they stand now, the unknown left out."""

Load = Callable[[], Mapping[str, Token]]
"""The tokens an earlier process knew, asked for only while the database can't answer."""

log = structlog.get_logger()


class TokenCache:
    """The tokens presented to this process, confirmed in the background.

    `is_transient` tells an outage from a defect.
    """

    def __init__(
        self,
        fetch: Fetch,
        load_backup: Load,
        is_transient: Callable[[Exception], bool],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._load_backup = load_backup
        self._is_transient = is_transient
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._backup: Mapping[str, Token] | None = None
        self._uses: dict[int, datetime] = {}
        self._confirmed_at = clock()
        self._paused_until = clock()
        self._asking = threading.Lock()
        self._changing = threading.Lock()

    def find(self, selector: str) -> Token | None:
        """Return the token as it stood less than a second ago, or longer ago while the database can't answer.

        Raises what the fetch raised for a token that neither this process nor an earlier one knew.
        """
        if selector in self._tokens and not self._is_fresh():
            self._confirm_if_free()
        return self._tokens.get(selector) or self._learn(selector)

    def holds(self, selector: str) -> bool:
        """Return whether this process knows the token."""
        return selector in self._tokens

    def confirm(self) -> None:
        """Ask the database for every token held; keep them all when it can't answer."""
        with self._asking:
            self._confirm()

    def forget(self, selector: str) -> None:
        """Ask the database before this token is believed again."""
        with self._changing:
            self._tokens.pop(selector, None)

    def record_use(self, token_id: int, now: datetime) -> None:
        """Remember that a token was used; `take_uses` hands the notes over for storing."""
        self._uses[token_id] = now

    def take_uses(self) -> dict[int, datetime]:
        """Return when each token was last used since the last call."""
        taken, self._uses = self._uses, {}
        return taken

    def _is_fresh(self) -> bool:
        now = self._clock()
        return now - self._confirmed_at <= TTL_SECONDS or now < self._paused_until

    def _confirm_if_free(self) -> None:
        """Confirm the tokens, one request for all.

        The others wait a moment for its answer, then go on with what is known.
        """
        if not self._asking.acquire(timeout=MAX_WAIT_SECONDS):
            self._pause("slow")
            return
        try:
            if not self._is_fresh():
                self._confirm()
        finally:
            self._asking.release()

    def _confirm(self) -> None:
        began_at = self._clock()
        held = list(self._tokens)
        try:
            found = self._fetch(held) if held else {}
        except Exception as error:
            if not self._is_transient(error):
                raise
            self._pause("unreachable")
            return
        with self._changing:
            gone = [selector for selector in held if selector not in found]
            for selector in gone:
                self._tokens.pop(selector, None)
            # A token forgotten meanwhile stays forgotten: what was found may be older than the reason.
            self._tokens.update({each: found[each] for each in held if each in found and each in self._tokens})
        # From when the question was asked, not from when it was answered: a token revoked in between must not gain that
        # time.
        self._confirmed_at = began_at
        self._backup = None

    def _learn(self, selector: str) -> Token | None:
        try:
            token = self._fetch([selector]).get(selector)
        except Exception as error:
            if not self._is_transient(error):
                raise
            self._pause("unreachable")
            token = self._remembered().get(selector)
            if token is None:
                raise
        if token is not None:
            self._hold(token)
        return token

    def _hold(self, token: Token) -> None:
        with self._changing:
            if len(self._tokens) >= TOKENS_MAX:
                self._tokens.pop(next(iter(self._tokens)))
            self._tokens[token.selector] = token

    def _remembered(self) -> Mapping[str, Token]:
        if self._backup is None:
            self._backup = self._load_backup()
        return self._backup

    def _pause(self, cause: str) -> None:
        if self._clock() >= self._paused_until:
            log.warning("tokens.unconfirmed", cause=cause, held=len(self._tokens))
        self._paused_until = self._clock() + PAUSE_SECONDS
