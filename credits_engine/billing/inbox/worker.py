"""Working off the inbox: claim, apply, finish, each event in a transaction of its own. Any number may do so at once.

A worker that is killed leaves a lease behind; when it runs out, another one starts that event from the beginning.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction
from control_plane.platform.problems import is_transient
from credits_engine.billing import metrics
from credits_engine.billing.entitlements.facts import Fact
from credits_engine.billing.entitlements.prices import UnmappedPriceError
from credits_engine.billing.inbox import handler
from credits_engine.billing.inbox.handler import LinkConflictError, LostClaimError
from credits_engine.billing.inbox.origin import ForeignEventError
from credits_engine.billing.store import inbox
from credits_engine.billing.store.inbox import Claim, Outcome, State
from credits_engine.billing.stripe_api.json_fields import UnreadableEventError

LEASE = timedelta(seconds=60)
ATTEMPTS_MAX = 12
BACKOFF_SECONDS_MAX = 3600.0
AGAIN_SECONDS = 2.0
BATCH = 20

Clock = Callable[[], datetime]
Lookup = Callable[[Claim, Sequence[Fact]], Sequence[Fact]]
"""Facts that settle a doubt about an event, asked for before its transaction; none where nothing is doubtful."""

log = structlog.get_logger()


def without_lookup(_claim: Claim, _stated: Sequence[Fact]) -> Sequence[Fact]:
    """Believe the events as they are."""
    return ()


@dataclass(frozen=True, slots=True)
class Worker:
    """One of those who work off the inbox; its name is what holds its claims."""

    name: str
    clock: Clock
    doubts: Lookup = without_lookup
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
                if self.clock() < now + LEASE:
                    self._process(claim)
            done += len(claims)
            if not claims:
                break
        return done

    def _process(self, claim: Claim) -> None:
        """One event to its end. Only an error of the database leaves it claimed, until the lease runs out."""
        if claim.attempt > ATTEMPTS_MAX:
            self._end(claim, Outcome(State.DEAD, f"Given up: {ATTEMPTS_MAX} attempts ended with their worker."))
            return
        try:
            stated = handler.decode(claim)
            fetched = self.doubts(claim, stated)
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
            is_ours = inbox.finish(session, claim, Outcome(State.REFUSED, reason), now=now)
        if is_ours:
            log.warning("billing.refused", stripe_event=claim.event_id, reason=reason)
            metrics.measure(State.REFUSED, (now - claim.received_at).total_seconds())

    def _end(self, claim: Claim, outcome: Outcome) -> None:
        """Put an event aside that another attempt can't help."""
        now = self.clock()
        with transaction() as session:
            is_ours = inbox.finish(session, claim, outcome, now=now)
            if is_ours:
                self._record_attempt(session, claim, outcome.reason, now)
        if is_ours:
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
            is_ours = inbox.requeue(session, claim, reason, again_at=now + timedelta(seconds=seconds), counts=counts)
            if is_ours and counts:
                self._record_attempt(session, claim, reason, now)
        return is_ours

    def _record_attempt(self, session: Session, claim: Claim, reason: str, now: datetime) -> None:
        inbox.record_attempt(
            session, claim.event_id, number=claim.attempt, actor=self.name, outcome=reason[:1000], now=now
        )

    def _report(self, claim: Claim, *, failed: bool) -> None:
        """One event counts once, by its first attempt, however often it is tried."""
        if claim.attempt == 1:
            metrics.report(claim.event_id, failed=failed)

    def _backoff(self, attempt: int) -> float:
        """A second, doubled with each attempt up to an hour, half of it at random so that a crowd spreads out."""
        seconds: float = min(2.0 ** (attempt - 1), BACKOFF_SECONDS_MAX)
        return seconds * (0.5 + 0.5 * self.chance())


def _described(error: Exception) -> str:
    reason = getattr(error, "reason", type(error).__name__)
    return f"{reason}: {error}"
