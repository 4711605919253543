"""Targets of notifications. An address is a secret, so only its digest and the kind of service are stored and shown."""

from hashlib import sha256

from control_plane.platform.settings import current

DIGEST_CHARACTERS = 12


def addresses() -> dict[str, str]:
    """Every address of `NOTIFY_URLS` by its digest."""
    return {_digest(url): url for url in current().notify_urls}


def targets() -> list[tuple[str, str]]:
    """The digest of every address with its label."""
    return [(digest, f"{url.partition(':')[0]} {digest[:4]}") for digest, url in addresses().items()]


def _digest(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:DIGEST_CHARACTERS]
