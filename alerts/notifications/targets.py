"""Targets of notifications. An address is a secret, so only its digest and the kind of service are stored and shown.

A target with a name, as in `NOTIFY_URLS=payments=slack://…`, hears of the rollouts whose plan names it; one without a
name hears of all.
"""

import re
from collections.abc import Collection, Iterator
from hashlib import sha256

from control_plane.core.phases import Plan
from control_plane.core.transitions import Reason
from control_plane.platform.settings import current

DIGEST_CHARACTERS = 12
NAMED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_-]{0,49})=(?P<url>[a-z][a-z0-9+.-]*://.*)", re.IGNORECASE)
UNKNOWN = "NOTIFY_TARGET_UNKNOWN"


def addresses() -> dict[str, str]:
    """Return every address of `NOTIFY_URLS` by its digest."""
    return {_digest(url): url for _, url in _named_urls()}


def targets(names: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return digest and label of every address without a name, and of those with one of these `names`."""
    found = ((name, _digest(url), url) for name, url in _named_urls() if not name or name in names)
    # The same address may stand there with several names; it hears everything once.
    chosen = {digest: f"{name or url.partition(':')[0]} {digest[:4]}" for name, digest, url in found}
    return list(chosen.items())


def plan_reasons(plan: Plan) -> list[Reason]:
    """Return what speaks against a plan that names a target which `NOTIFY_URLS` does not."""
    names = {name for name, _ in _named_urls() if name}
    listed = f"those named are {', '.join(sorted(names))}" if names else "none of its addresses has a name"
    return [
        Reason(UNKNOWN, f"notify names {name}, which NOTIFY_URLS does not: {listed}.")
        for name in plan.notify
        if name not in names
    ]


def _named_urls() -> Iterator[tuple[str, str]]:
    for text in current().notify_urls:
        found = NAMED.fullmatch(text)
        yield (found["name"], found["url"]) if found else ("", text)


def _digest(url: str) -> str:
    return sha256(url.encode()).hexdigest()[:DIGEST_CHARACTERS]
