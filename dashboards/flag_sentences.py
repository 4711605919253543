"""Who has a flag without a rollout, as sentences: strategies, their conditions, variants. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashboards.filters import NARROW, share
from flags.unleash.compiler import Wire
from flags.unleash.probes import constraint_text

LISTED_MAX = 5
PAYLOAD_CHARACTERS = 80
RANDOM = "random"
STICKY = {"default": "userId", "": "userId"}
LISTS: Mapping[str, tuple[str, str]] = {
    "userWithId": ("userIds", "Users"),
    "remoteAddress": ("IPs", "Requests from"),
    "applicationHostname": ("hostNames", "Servers called"),
}
GRADUAL: Mapping[str, str] = {
    "gradualRolloutUserId": "userId",
    "gradualRolloutSessionId": "sessionId",
    "gradualRolloutRandom": RANDOM,
}


@dataclass(frozen=True, slots=True)
class VariantView:
    """A variant, the part of those with the flag that it is given to, 0 to 1, and what it carries."""

    name: str
    share: float
    payload: str


def strategy_sentence(strategy: Wire, segments: Mapping[int, str]) -> str:
    """Say whom a strategy lets in, and under which conditions."""
    conditions = [constraint_text(each) for each in strategy.get("constraints") or ()]
    conditions += [f"in segment “{segments.get(each) or each}”" for each in strategy.get("segments") or ()]
    parts = ", ".join(f"{each.name} {share(each.share)}" for each in variant_views(strategy.get("variants") or ()))
    sentence = f"{_audience(strategy)}{', if ' if conditions else ''}{' and '.join(conditions)}."
    return f"{sentence} Of them {parts}." if parts else sentence


def variant_views(variants: Iterable[Wire]) -> Sequence[VariantView]:
    """Return variants with their shares of all weights."""
    listed = list(variants)
    total = sum(each["weight"] for each in listed) or 1
    return [VariantView(each["name"], each["weight"] / total, _payload(each.get("payload"))) for each in listed]


def _audience(strategy: Wire) -> str:
    name, given = strategy["name"], strategy.get("parameters") or {}
    if name in LISTS:
        parameter, who = LISTS[name]
        return _listed(who, str(given.get(parameter, "")))
    if name == "flexibleRollout":
        return _share(str(given.get("rollout", "0")), STICKY.get(sticky := str(given.get("stickiness", "")), sticky))
    if name in GRADUAL:
        return _share(str(given.get("percentage", "0")), GRADUAL[name])
    return "Everybody" if name == "default" else f"Whom the strategy {name} lets in"


def _share(percentage: str, stickiness: str) -> str:
    if stickiness == RANDOM:
        return f"{percentage}{NARROW}% of requests, at random"
    return f"{percentage}{NARROW}% by {stickiness}"


def _listed(who: str, text: str) -> str:
    entries = [entry for entry in text.split(",") if entry]
    more = f" and {len(entries) - LISTED_MAX} more" if len(entries) > LISTED_MAX else ""
    return f"{who} {', '.join(entries[:LISTED_MAX])}{more}" if entries else "Nobody"


def _payload(payload: Wire | None) -> str:
    text = str(payload["value"]) if payload else ""
    return text if len(text) <= PAYLOAD_CHARACTERS else f"{text[:PAYLOAD_CHARACTERS]}…"
