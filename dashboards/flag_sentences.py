"""Who has a flag without a rollout, as sentences: strategies, their conditions, variants. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dashboards.constraint_sentences import constraint_sentence
from dashboards.filters import NARROW, share
from dashboards.language import N_, gettext
from flags.unleash.compiler import Wire

LISTED_MAX = 5
PAYLOAD_CHARACTERS = 80
RANDOM = "random"
STICKY = {"default": "userId", "": "userId"}
LISTS: Mapping[str, tuple[str, str]] = {
    "userWithId": ("userIds", N_("Users %(listed)s")),
    "remoteAddress": ("IPs", N_("Requests from %(listed)s")),
    "applicationHostname": ("hostNames", N_("Servers called %(listed)s")),
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
    conditions = [constraint_sentence(each) for each in strategy.get("constraints") or ()]
    conditions += [
        gettext("in segment “%(segment)s”", segment=segments.get(each) or each)
        for each in strategy.get("segments") or ()
    ]
    parts = ", ".join(f"{each.name} {share(each.share)}" for each in variant_views(strategy.get("variants") or ()))
    who, needed = _audience(strategy), gettext(" and ").join(conditions)
    sentence = gettext("%(who)s, if %(conditions)s.", who=who, conditions=needed) if needed else f"{who}."
    return gettext("%(sentence)s Of them %(parts)s.", sentence=sentence, parts=parts) if parts else sentence


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
    return gettext("Everybody") if name == "default" else gettext("Whom the strategy %(name)s lets in", name=name)


def _share(percentage: str, stickiness: str) -> str:
    part = f"{percentage}{NARROW}%"
    if stickiness == RANDOM:
        return gettext("%(share)s of requests, at random", share=part)
    return gettext("%(share)s by %(attribute)s", share=part, attribute=stickiness)


def _listed(who: str, text: str) -> str:
    entries = [entry for entry in text.split(",") if entry]
    if not entries:
        return gettext("Nobody")
    listed = ", ".join(entries[:LISTED_MAX])
    if len(entries) > LISTED_MAX:
        listed = gettext("%(listed)s and %(count)s more", listed=listed, count=len(entries) - LISTED_MAX)
    return gettext(who, listed=listed)


def _payload(payload: Wire | None) -> str:
    text = str(payload["value"]) if payload else ""
    return text if len(text) <= PAYLOAD_CHARACTERS else f"{text[:PAYLOAD_CHARACTERS]}…"
