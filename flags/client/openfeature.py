"""OpenFeature in one line: `set_provider("http://rollout:8000", token)`; needs openfeature-provider-ofrep."""

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider

TIMEOUT_SECONDS = 5.0


def set_provider(url: str, token: str, *, domain: str = "", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
    """Let OpenFeature's clients, or those of `domain`, ask this server for flags with this token."""
    provider = OFREPProvider(
        url.rstrip("/"), headers_factory=lambda: {"Authorization": f"Bearer {token}"}, timeout=timeout_seconds
    )
    if domain:
        api.set_provider(provider, domain)
    else:
        api.set_provider(provider)
