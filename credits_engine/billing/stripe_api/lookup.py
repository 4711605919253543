"""Ask Stripe where its events are ambiguous."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from control_plane.platform.db.database import read_only
from credits_engine.billing.entitlements.facts import Fact, InvoicePaid, PackPaid, Snapshot, Source
from credits_engine.billing.entitlements.subscriptions import History, histories
from credits_engine.billing.inbox.handler import THIN_TYPES
from credits_engine.billing.store import facts
from credits_engine.billing.store.inbox import Claim
from credits_engine.billing.stripe_api import events
from credits_engine.billing.stripe_api.breaker import BreakerOpenError
from credits_engine.billing.stripe_api.client import StripeGateway, StripeUnavailableError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StripeLookup:
    """Settles doubts by asking. A doubt that can't be settled now is left to the events, which decide without it."""

    truth: StripeGateway

    def __call__(self, claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        """The facts that settle what this event leaves open; a thin event can't do without."""
        pointer = thin_event_subject(claim)
        if pointer is not None:
            return self.truth.subscription(pointer)
        found: list[Fact] = list(self._quantities(claim, stated))
        for subscription_id in sorted(ambiguous(stated, _known(stated))):
            try:
                found += self.truth.subscription(subscription_id)
            except (StripeUnavailableError, BreakerOpenError) as error:
                log.warning("billing.doubt_left", subscription=subscription_id, reason=str(error))
        return found

    def _quantities(self, claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        """The packs of a checkout with how many of them were bought, where the event does not say."""
        if not any(isinstance(fact, PackPaid) and not fact.quantity for fact in stated):
            return ()
        event = json.loads(claim.body or b"{}")
        try:
            return self.truth.checkout(event)
        except (StripeUnavailableError, BreakerOpenError) as error:
            log.warning("billing.doubt_left", stripe_event=claim.event_id, reason=str(error))
            return ()


def thin_event_subject(claim: Claim) -> str | None:
    """The subscription that a thin event points at; None for events that carry their object."""
    event = json.loads(claim.body) if claim.body and claim.type.startswith(THIN_TYPES) else {}
    is_thin = isinstance(event, dict) and event.get("object") == events.THIN
    return events.subject(event)[1] if is_thin else None


def ambiguous(stated: Sequence[Fact], known: Sequence[Fact]) -> set[str]:
    """Subscriptions of which these facts leave open how they stand."""
    both = histories((*known, *stated))
    named = {name for fact in stated if (name := getattr(fact, "subscription_id", None))}
    unknown = {fact.subscription_id for fact in stated if isinstance(fact, InvoicePaid)} - {
        history.subscription_id for history in both
    }
    return unknown | {each.subscription_id for each in both if each.subscription_id in named and _is_open(each)}


def _is_open(history: History) -> bool:
    """Return whether the newest state was cut short, or another of the same second may have come after it."""
    newest = history.newest
    rivals = [each for each in history.snapshots if _same_second(each, newest) and each.content != newest.content]
    replaced = {each.replaces for each in (*rivals, newest)}
    return newest.is_partial or any(each.content not in replaced for each in rivals)


def _same_second(each: Snapshot, newest: Snapshot) -> bool:
    return each.at == newest.at and each.source is newest.source and each.source is not Source.BEFORE


def _known(stated: Sequence[Fact]) -> list[Fact]:
    customers = {name for fact in stated if (name := getattr(fact, "customer_id", None))}
    with read_only() as session:
        return [fact for name in sorted(customers) for fact in facts.of_customer(session, name)]
