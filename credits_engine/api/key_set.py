"""The keys that the product publishes for its users' tokens (JWKS), fetched when needed and kept for five minutes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from control_plane.platform.problems import Problem

KEYS_SECONDS = 300
TIMEOUT_SECONDS = 2
AWAY_SECONDS = 2
"""After a failure nobody tries again for so long: each try holds up everybody who shows a token."""
RSA_BITS_MIN = 2048

log = structlog.get_logger()


class UnusableKeyError(ValueError):
    """The key that a token names can't prove it; the message is the end of a sentence."""


class PublishedKeys:
    """The key set published at one address."""

    def __init__(self, url: str) -> None:
        self._client = jwt.PyJWKClient(url, lifespan=KEYS_SECONDS, timeout=TIMEOUT_SECONDS)
        self._fetching = threading.Lock()
        self._away_until = 0.0

    def find(self, kid: str, algorithm: str) -> object:
        """Return the key of this name for this algorithm.

        Raises UnusableKeyError, or a 503 Problem without any keys.
        """
        with self._one_at_a_time():
            found = self._find(kid)
        if found.algorithm_name != algorithm:
            raise UnusableKeyError(f"it says {algorithm}, and the key it names is for {found.algorithm_name}")
        if isinstance(found.key, RSAPublicKey) and found.key.key_size < RSA_BITS_MIN:
            raise UnusableKeyError(f"its RSA key has {found.key.key_size} bits, and {RSA_BITS_MIN} are needed")
        return found.key

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._fetching.acquire(timeout=TIMEOUT_SECONDS):
            raise _away()
        try:
            if monotonic() < self._away_until:
                raise _away()
            yield
        finally:
            self._fetching.release()

    def _find(self, kid: str) -> jwt.PyJWK:
        try:
            self._client.get_signing_keys()
        except Exception as error:
            # Whatever stands at that address, a user's token is not to blame for it.
            self._away_until = monotonic() + AWAY_SECONDS
            log.warning("product_users.keys_unreachable", error=f"{type(error).__name__}: {error}"[:300])
            raise _away() from None
        try:
            return self._client.get_signing_key(kid)
        except jwt.PyJWKClientConnectionError:
            raise _away() from None
        except jwt.PyJWTError:
            raise UnusableKeyError("no key that it could be signed with is published") from None


def _away() -> Problem:
    detail = "The keys of the product's user tokens can't be fetched at the moment; try again."
    return Problem(503, "USER_KEYS_UNAVAILABLE", detail, headers={"Retry-After": str(AWAY_SECONDS)})
