"""Working off the inbox: claim, apply, finish, each event in a transaction of its own. Any number may do so at once.

A worker that is killed leaves a lease behind; when it runs out, another one starts that event from the beginning. Where
an event leaves something open, Stripe is asked before its transaction begins (`StripeLookup`).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import is_transient
from credits_engine.billing import metrics
from credits_engine.billing.entitlements.history import History, histories
from credits_engine.billing.entitlements.plan_of_prices import UnmappedPriceError
from credits_engine.billing.entitlements.price_list import find_offer
from credits_engine.billing.facts import Fact, InvoicePaid, PackPaid, Snapshot, Source
from credits_engine.billing.inbox import handler
from credits_engine.billing.inbox.handler import LinkConflictError, LostClaimError
from credits_engine.billing.inbox.verification import ForeignEventError
from credits_engine.billing.store import facts, inbox
from credits_engine.billing.store.inbox import Claim, Outcome, State
from credits_engine.billing.stripe_api import checkouts, events
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeGateway, StripeUnavailableError
from credits_engine.billing.stripe_api.invoices import hides_lines
from credits_engine.billing.stripe_api.json_fields import Json, UnreadableEventError, loads
from credits_engine.billing.stripe_api.lists import follow

LEASE = timedelta(seconds=60)
ATTEMPTS_MAX = 12
BACKOFF_SECONDS_MAX = 3600.0
AGAIN_SECONDS = 2.0
BATCH = 20

Clock = Callable[[], datetime]
Lookup = Callable[[Claim, Sequence[Fact]], Sequence[Fact] | None]
"""Facts that resolve a doubt about an event, asked for before its transaction; None where nobody can be asked."""

log = structlog.get_logger()


def without_lookup(_claim: Claim, _stated: Sequence[Fact]) -> None:
    """Believe the events as they are."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One of those who work off the inbox; its name is what holds its claims."""

    name: str
    clock: Clock
    lookup: Lookup = without_lookup
    give_way: Callable[[], None] = lambda: None
    """Called before each event: lets what is more urgent go first."""
    chance: Callable[[], float] = random.random

    def work(self, *, until: datetime | None = None, most: int | None = None) -> int:
        """Apply what is due until nothing is, `until` has come or `most` events are done; returns how many."""
        done = 0
        while most is None or done < most:
            now = self.clock()
            if until is not None and now >= until:
                break
            size = BATCH if most is None else min(BATCH, most - done)
            with transaction() as session:
                claims = inbox.claim(session, self.name, now=now, lease_ends_at=now + LEASE, most=size)
            for claim in claims:
                self.give_way()
                # After the lease another worker may have claimed it; starting now would only lose the race at the end.
                if self.clock() < now + LEASE:
                    self._process(claim)
            done += len(claims)
            if not claims:
                break
        return done

    def _process(self, claim: Claim) -> None:
        """Take one event to its end. Only an error of the database leaves it claimed, until the lease runs out."""
        # Each attempt before ended with its worker, without an error to show: this event may be what kills them.
        if claim.attempt > ATTEMPTS_MAX:
            self._end(claim, Outcome(State.DEAD, f"Given up: {ATTEMPTS_MAX} attempts ended with their worker."))
            return
        try:
            stated = handler.decode(claim)
            # Outside the transaction: Stripe may take ten seconds, and no row may be locked for so long.
            fetched = self.lookup(claim, stated)
            with transaction() as session:
                outcome = handler.handle(session, claim, stated, now=self.clock(), fetched=fetched)
        except LostClaimError:
            log.warning("billing.claim_lost", stripe_event=claim.event_id, attempt=claim.attempt)
        except ForeignEventError as error:
            self._refuse(claim, str(error))
        except (UnreadableEventError, LinkConflictError) as error:
            self._end(claim, Outcome(State.DEAD, _described(error)))
        except UnmappedPriceError as error:
            self._end(claim, handler.parked_for(error))
        except Exception as error:
            self._give_back(claim, error)
        else:
            log.info("billing.applied", stripe_event=claim.event_id, state=outcome.state, reason=outcome.reason)
            metrics.measure(outcome.state, (self.clock() - claim.received_at).total_seconds())
            self._report(claim, failed=False)

    def _refuse(self, claim: Claim, reason: str) -> None:
        """Leave an event of somebody else as it is: that says nothing, good or bad, of how ours go."""
        now = self.clock()
        with transaction() as session:
            holds_claim = inbox.finish(session, claim, Outcome(State.REFUSED, reason), now=now)
        if holds_claim:
            log.warning("billing.refused", stripe_event=claim.event_id, reason=reason)
            metrics.measure(State.REFUSED, (now - claim.received_at).total_seconds())

    def _end(self, claim: Claim, outcome: Outcome) -> None:
        """Put an event aside that another attempt can't help."""
        now = self.clock()
        with transaction() as session:
            holds_claim = inbox.finish(session, claim, outcome, now=now)
            if holds_claim:
                self._record_attempt(session, claim, outcome.reason, now)
        if holds_claim:
            log.error("billing.set_aside", stripe_event=claim.event_id, state=outcome.state, reason=outcome.reason)
            metrics.measure(outcome.state, (now - claim.received_at).total_seconds())
            self._report(claim, failed=True)

    def _give_back(self, claim: Claim, error: Exception) -> None:
        """Try again later; an outage of the database is nobody's fault and counts for nothing."""
        if is_transient(error):
            log.warning("billing.postponed", stripe_event=claim.event_id, error=type(error).__name__)
            self._postpone(claim, type(error).__name__, seconds=AGAIN_SECONDS, counts=False)
        elif claim.attempt >= ATTEMPTS_MAX:
            self._end(claim, Outcome(State.DEAD, _described(error)))
        else:
            log.exception("billing.failed", stripe_event=claim.event_id, attempt=claim.attempt, exc_info=error)
            if self._postpone(claim, _described(error), seconds=self._backoff(claim.attempt), counts=True):
                self._report(claim, failed=True)

    def _postpone(self, claim: Claim, reason: str, *, seconds: float, counts: bool) -> bool:
        now = self.clock()
        with transaction() as session:
            holds_claim = inbox.requeue(
                session, claim, reason, again_at=now + timedelta(seconds=seconds), counts=counts
            )
            if holds_claim and counts:
                self._record_attempt(session, claim, reason, now)
        return holds_claim

    def _record_attempt(self, session: Session, claim: Claim, reason: str, now: datetime) -> None:
        inbox.record_attempt(
            session, claim.event_id, number=claim.attempt, actor=self.name, outcome=reason[:1000], now=now
        )

    def _report(self, claim: Claim, *, failed: bool) -> None:
        """Count one event once, by its first attempt, however often it is tried."""
        if claim.attempt == 1:
            metrics.report(claim.event_id, failed=failed)

    def _backoff(self, attempt: int) -> float:
        """Return a second, doubled with each attempt up to an hour.

        Half of it is at random, so that a crowd spreads out.
        """
        seconds: float = min(2.0 ** (attempt - 1), BACKOFF_SECONDS_MAX)
        return seconds * (0.5 + 0.5 * self.chance())


def _described(error: Exception) -> str:
    reason = getattr(error, "reason", type(error).__name__)
    return f"{reason}: {error}"


@dataclass(frozen=True, slots=True)
class StripeLookup:
    """Resolves doubts by asking. A doubt that can't be resolved now is left to the events, which decide without it."""

    gateway: StripeGateway

    def __call__(self, claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        """Return the facts that resolve what this event leaves open; a thin event can't do without."""
        thin = thin_event(claim)
        if thin is not None:
            return follow(self.gateway, thin)
        found: list[Fact] = [*self._quantities(claim, stated), *self._lines(claim, stated)]
        for subscription_id in sorted(ambiguous(stated, _known_facts(stated))):
            try:
                found += self.gateway.subscription(subscription_id)
            except (StripeUnavailableError, BreakerOpenError) as error:
                log.warning("billing.doubt_left", subscription=subscription_id, reason=str(error))
        return found

    def _quantities(self, claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        """Return the packs of a checkout and how many of them were bought, where the event does not say."""
        event = loads(claim.body or b"{}")
        is_unknown = any(isinstance(fact, PackPaid) and not fact.quantity for fact in stated)
        if not is_unknown and (stated or not checkouts.is_sale(event)):
            return ()
        try:
            found = self.gateway.checkout(event)
            # Where the session named no pack it may be for anything: only what is on sale here counts.
            return [fact for fact in found if is_unknown or (isinstance(fact, PackPaid) and find_offer(fact.price))]
        except (StripeUnavailableError, BreakerOpenError) as error:
            log.warning("billing.doubt_left", stripe_event=claim.event_id, reason=str(error))
            return ()

    def _lines(self, claim: Claim, stated: Sequence[Fact]) -> Sequence[Fact]:
        """Return the payment of an invoice with all its lines, where the event shows only the first of them."""
        event = loads(claim.body or b"{}")
        if not hides_lines(event):
            return ()
        try:
            whole = self.gateway.invoice(event)
            return (*events.facts(whole), *handler.packs_sold(whole))
        except (StripeUnavailableError, BreakerOpenError) as error:
            # An invoice of no subscription is about packs alone, and any of them may be hidden: it is tried again.
            if not any(isinstance(fact, InvoicePaid) for fact in stated):
                raise
            log.warning("billing.doubt_left", stripe_event=claim.event_id, reason=str(error))
            return ()


def thin_event(claim: Claim) -> Json | None:
    """Return the thin event that a claim is for; None for events that carry their object."""
    event = loads(claim.body) if claim.body and events.thin_type(claim.type) else {}
    return event if isinstance(event, dict) and event.get("object") == events.THIN else None


def ambiguous(stated: Sequence[Fact], known: Sequence[Fact]) -> set[str]:
    """Return subscriptions of which these facts leave open how they stand."""
    merged = histories((*known, *stated))
    subscriptions = {name for fact in stated if (name := getattr(fact, "subscription_id", None))}
    unknown = {fact.subscription_id for fact in stated if isinstance(fact, InvoicePaid)} - {
        history.subscription_id for history in merged
    }
    return unknown | {
        each.subscription_id for each in merged if each.subscription_id in subscriptions and _is_open(each)
    }


def _is_open(history: History) -> bool:
    """Return whether the newest state was cut short, or another of the same second may have come after it."""
    newest = history.newest
    rivals = [each for each in history.snapshots if _same_second(each, newest) and each.content != newest.content]
    replaced = {each.replaces for each in (*rivals, newest)}
    return newest.is_partial or any(each.content not in replaced for each in rivals)


def _same_second(each: Snapshot, newest: Snapshot) -> bool:
    return each.at == newest.at and each.source is newest.source and each.source is not Source.BEFORE


def _known_facts(stated: Sequence[Fact]) -> list[Fact]:
    customers = {name for fact in stated if (name := getattr(fact, "customer_id", None))}
    with read_only() as session:
        return [fact for name in sorted(customers) for fact in facts.of_customer(session, name)]
