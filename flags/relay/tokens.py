"""The tokens that open a relay: those that open upstream, checked there and remembered here.

What upstream confirmed within the last second counts; older than that only while upstream can't be asked, for SDKs
stop asking after a 401.
"""

import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog

from control_plane.platform import private_files
from control_plane.platform.identity_types import EVERY, Token, TokenRefusal, TokenType
from control_plane.platform.problems import Problem
from flags.relay.upstream import Upstream, UpstreamError

CONFIRM_SECONDS = 0.7
REFUSED_SECONDS = 5.0
TOKENS_MAX = 5000
BATCH = 100
UNKNOWN = TokenRefusal("Upstream does not know this token; check that all of it was copied.")
TYPES = {"client": TokenType.CLIENT, "backend": TokenType.CLIENT, "frontend": TokenType.FRONTEND}

log = structlog.get_logger()


class RelayTokens:
    """The tokens known to a relay. On disk are digests, from which no token can be made."""

    def __init__(self, upstream: Upstream, path: Path) -> None:
        self._upstream = upstream
        self._path = path
        self._known: dict[str, Token] = {}
        self._texts: dict[str, str] = {}
        self._refused: dict[str, float] = {}
        self._changing = threading.Lock()
        self._stopped = threading.Event()
        self._load_backup()

    def check(self, text: str, _now: datetime) -> Token | TokenRefusal:
        """Return the token this text proves. Raises Problem while upstream can't be asked about one that is new."""
        digest = sha256(text.encode()).hexdigest()
        known = self._known.get(digest)
        # After a restart only digests are known; the text comes back with its first use, and can then be confirmed
        # again.
        if known is not None:
            self._texts[digest] = text
            return known
        if not text or self._refused.get(digest, 0.0) > time.monotonic():
            return UNKNOWN
        self._ask([text])
        return self._known.get(digest, UNKNOWN)

    def is_remembered(self, text: str) -> bool:
        """Return whether upstream was asked about this text before."""
        return sha256(text.encode()).hexdigest() in self._known

    def is_in_force(self, selector: str, _now: datetime) -> bool:
        """Return whether the token with this digest is still valid."""
        return selector in self._known

    def start(self) -> None:
        """Confirm what is known, again and again, in a thread of its own."""
        threading.Thread(target=self._confirm_always, name="relay-tokens", daemon=True).start()

    def stop(self) -> None:
        """End that thread."""
        self._stopped.set()

    def _confirm_always(self) -> None:
        while not self._stopped.wait(CONFIRM_SECONDS):
            texts = list(self._texts.values())
            try:
                for first in range(0, len(texts), BATCH):
                    self._ask(texts[first : first + BATCH])
            except Problem as problem:
                log.warning("relay.tokens_unconfirmed", cause=problem.detail)

    def _ask(self, texts: list[str]) -> None:
        try:
            found = {each["token"]: _token(each) for each in self._upstream.validate(texts)}
        except (UpstreamError, KeyError, TypeError, AttributeError) as error:
            detail = "Upstream can't be asked about this token at the moment; try again."
            raise Problem(503, "UPSTREAM_UNAVAILABLE", detail, headers={"Retry-After": "2"}) from error
        with self._changing:
            before = dict(self._known)
            for text in texts:
                self._store(text, found.get(text))
            if self._known != before:
                try:
                    self._save_backup()
                except OSError as error:  # what is on disk is older, and confirmed again after a restart
                    log.warning("relay.tokens_not_kept", path=str(self._path), cause=str(error))

    def _store(self, text: str, token: Token | None) -> None:
        digest = sha256(text.encode()).hexdigest()
        if token is None:
            self._known.pop(digest, None)
            self._texts.pop(digest, None)
            # Whoever tries out tokens must not fill the memory; forgetting all costs upstream one question for each.
            if len(self._refused) >= TOKENS_MAX:
                self._refused.clear()
            self._refused[digest] = time.monotonic() + REFUSED_SECONDS
        elif len(self._known) < TOKENS_MAX:
            self._known[digest] = replace(token, selector=digest, digest=digest)
            self._texts[digest] = text

    def _save_backup(self) -> None:
        saved = {
            digest: [each.type, each.environment, each.projects, *each.trusted_attributes]
            for digest, each in self._known.items()
        }
        private_files.make_folder(self._path.parent)
        # Written beside and renamed: a crash leaves the old file or the new one, never half of one.
        fresh = self._path.with_suffix(".new")
        private_files.make_private(fresh)
        fresh.write_text(json.dumps(saved))
        fresh.replace(self._path)

    def _load_backup(self) -> None:
        try:
            saved: dict[str, list[Any]] = json.loads(self._path.read_text())
            self._known = {
                digest: replace(_from_backup(each), selector=digest, digest=digest) for digest, each in saved.items()
            }
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("relay.tokens_unusable", path=str(self._path), error=type(error).__name__)


def _token(document: dict[str, Any]) -> Token | None:
    """Return a token as upstream describes it; None for a type that opens nothing here."""
    kind = TYPES.get(document.get("type", ""))
    if kind is None:
        return None
    trusted = document.get("trustedAttributes", [EVERY])
    projects = _projects(document.get("projects"))
    return _token_from(kind, document.get("environment") or EVERY, trusted, projects=projects)


def _from_backup(saved: list[Any]) -> Token:
    match saved:
        case [kind, place, [*projects], *trusted]:
            return _token_from(kind, place, trusted, projects=_projects(projects))
        case [kind, place, *trusted]:  # of a release that knew no projects
            return _token_from(kind, place, trusted, projects=())
    raise ValueError("a token has a type and an environment")


def _projects(projects: object) -> tuple[str, ...]:
    """Return the projects that a token is held to; none for all."""
    named = sorted(map(str, projects)) if isinstance(projects, list) else []
    return () if EVERY in named else tuple(named)


def _token_from(kind: str, environment: str, trusted: Iterable[str], *, projects: tuple[str, ...]) -> Token:
    return Token(
        id=0,
        name="upstream's",
        type=TokenType(kind),
        environment=environment,
        selector="",
        digest="",
        trusted_attributes=tuple(trusted),
        created_at=datetime.now(UTC),
        created_by="upstream",
        expires_at=None,
        revoked_at=None,
        last_seen_at=None,
        projects=projects,
    )
