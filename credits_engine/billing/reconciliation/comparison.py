"""Our word against Stripe's, subscription by subscription: what differs, and corrected on demand."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing import metrics
from credits_engine.billing.entitlements.changes import entitlement_at
from credits_engine.billing.entitlements.history import histories
from credits_engine.billing.entitlements.plan_of_prices import (
    NOT_IN_CATALOGUE,
    UnmappedPriceError,
    is_mapped,
    service_period,
)
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.entitlements.sync import dispute_policy, sync_user
from credits_engine.billing.facts import TERMINAL, Fact, InvoicePaid, Item, Snapshot
from credits_engine.billing.store import accounts, facts
from credits_engine.billing.stripe_api.client import StripeGateway, price_names

CAUSE = "reconcile"


class DiscrepancyKind(StrEnum):
    """The kinds of differences between our books and Stripe's."""

    UNKNOWN_CUSTOMER = "unknown_customer"
    UNKNOWN_PRICE = "unknown_price"
    MISSED_STATE = "missed_state"
    MISSED_PAYMENT = "missed_payment"
    WRONG_PLAN = "wrong_plan"
    GONE = "gone"


UNCORRECTABLE = (DiscrepancyKind.UNKNOWN_CUSTOMER, DiscrepancyKind.UNKNOWN_PRICE, DiscrepancyKind.GONE)
"""What Stripe's word alone does not settle: somebody has to link a customer, or to sell the price."""
MISSED = (DiscrepancyKind.MISSED_STATE, DiscrepancyKind.MISSED_PAYMENT)
"""What an event should have told us."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference, as a sentence, and whether it was corrected."""

    kind: DiscrepancyKind
    subscription_id: str
    user_id: str | None
    sentence: str
    is_corrected: bool = False


def reconcile(
    gateway: StripeGateway, *, now: datetime, actor: str, correct: bool = False
) -> Iterator[Discrepancy | int]:
    """Compare with every subscription that Stripe has; yields findings, and after each page how many were compared.

    With `correct` each is settled from Stripe's word, in a transaction of its own. Raises StripeUnavailableError.
    """
    yield from compare_subscriptions(gateway, now=now, actor=actor, correct=correct)
    yield from unmapped_prices(gateway)


def compare_subscriptions(
    gateway: StripeGateway, *, now: datetime, actor: str, correct: bool = False
) -> Iterator[Discrepancy | int]:
    """Compare every subscription that Stripe has, as `reconcile` does."""
    compared: set[str] = set()
    for page in gateway.pages():
        for fetched in page:
            snapshot = next(fact for fact in fetched if isinstance(fact, Snapshot))
            compared.add(snapshot.subscription_id)
            # A transaction of its own for each, so that none stays open while Stripe is asked for the next page.
            with read_only() as session:
                finding = compare(session, snapshot, fetched, now=now)
                _compare_periods(session, snapshot)
            metrics.report_comparison(snapshot.subscription_id, missed=finding is not None and finding.kind in MISSED)
            if finding and correct and finding.kind not in UNCORRECTABLE:
                yield _corrected(finding, snapshot, fetched, now=now, actor=actor)
            elif finding:
                yield finding
        yield len(page)
    with read_only() as session:
        ours = accounts.live_subscriptions(session)
    for subscription_id, user_id in sorted(ours.items()):
        if subscription_id not in compared:
            yield Discrepancy(
                DiscrepancyKind.GONE,
                subscription_id,
                user_id,
                "We rely on this subscription, and Stripe does not have it.",
            )


def unmapped_prices(gateway: StripeGateway) -> Iterator[Discrepancy]:
    """Return prices on sale at Stripe that buy no plan; whoever subscribed to one would be parked."""
    for price in gateway.prices():
        names = price_names(price)
        if not any(is_mapped(name, catalogue()) for name in names):
            sentence = f"Price {' or '.join(names)} is on sale at Stripe and buys no plan of the catalogue."
            yield Discrepancy(DiscrepancyKind.UNKNOWN_PRICE, "", None, sentence)


def compare(session: Session, snapshot: Snapshot, fetched: tuple[Fact, ...], *, now: datetime) -> Discrepancy | None:
    """Return the difference between our facts and the subscription fetched; None where both agree."""
    name = snapshot.subscription_id
    user_id = accounts.user_of(session, snapshot.customer_id) or snapshot.user_id
    if user_id is None:
        if snapshot.status in TERMINAL:
            return None
        sentence = f"Customer {snapshot.customer_id} is not linked to a user; use `rollout billing link`."
        return Discrepancy(DiscrepancyKind.UNKNOWN_CUSTOMER, name, None, sentence)
    known = facts.of_user(session, user_id)
    own = next((history for history in histories(known) if history.subscription_id == name), None)
    if own is None or own.newest.content != snapshot.content:
        sentence = f"{_difference(own.newest if own else None, snapshot)} An event was missed or is on its way."
        return Discrepancy(DiscrepancyKind.MISSED_STATE, name, user_id, sentence)
    identities = {fact.identity for fact in known}
    for fact in fetched:
        if isinstance(fact, InvoicePaid) and fact.identity not in identities:
            return Discrepancy(
                DiscrepancyKind.MISSED_PAYMENT, name, user_id, f"Invoice {fact.invoice_id} is paid, and we do not know."
            )
    return _wrong_plan(session, name, user_id, known, now=now)


def _difference(ours: Snapshot | None, theirs: Snapshot) -> str:
    """Name what Stripe has otherwise, with both values of each."""
    if ours is None:
        return f"Stripe has it as {theirs.status}, we know it not at all."
    parts = [
        f"{name} {_text(their_value)} instead of {_text(our_value)}"
        for name, our_value, their_value in (
            ("status", ours.status, theirs.status),
            ("prices", _prices(ours), _prices(theirs)),
            ("period until", _period_end(ours), _period_end(theirs)),
            ("anchor", ours.anchor, theirs.anchor),
            ("cancelled for", ours.cancel_at, theirs.cancel_at),
            ("ends with its period", ours.ends_with_period, theirs.ends_with_period),
            ("collection paused by", ours.pause and ours.pause.behavior, theirs.pause and theirs.pause.behavior),
            ("collection paused until", ours.pause and ours.pause.resumes_at, theirs.pause and theirs.pause.resumes_at),
        )
        if our_value != their_value
    ]
    return f"Stripe has {', '.join(parts) or 'another period'}, and we know it as of {_text(ours.at)}."


def _prices(snapshot: Snapshot) -> str:
    return ", ".join(sorted(map(_price, snapshot.items)))


def _price(item: Item) -> str:
    name = item.lookup_key or item.price_id
    return name if item.quantity == 1 else f"{item.quantity} {name}"


def _period_end(snapshot: Snapshot) -> datetime | None:
    return max((item.period.end for item in snapshot.items if item.period), default=None)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else str(value or "none")


def correct_one(gateway: StripeGateway, subscription_id: str, *, now: datetime, actor: str) -> Discrepancy | None:
    """Settle one subscription from Stripe's word; None where nothing differs any more.

    Raises StripeUnavailableError and BreakerOpenError.
    """
    fetched = gateway.subscription(subscription_id)
    snapshot = next((fact for fact in fetched if isinstance(fact, Snapshot)), None)
    if snapshot is None:
        return None
    with read_only() as session:
        finding = compare(session, snapshot, fetched, now=now)
    if finding is None or finding.kind in UNCORRECTABLE:
        return finding
    return _corrected(finding, snapshot, fetched, now=now, actor=actor)


def _compare_periods(session: Session, snapshot: Snapshot) -> None:
    """Check that a user's period ends when it ends with Stripe, where their entitlement rests on this subscription."""
    user_id = accounts.user_of(session, snapshot.customer_id)
    account = accounts.show_account(session, user_id) if user_id else None
    if account is None or account.service_end is None or account.subscription_id != snapshot.subscription_id:
        return
    if period := service_period(snapshot, catalogue()):
        metrics.report_period(snapshot.subscription_id, ours=account.service_end, theirs=period.end)


def _wrong_plan(session: Session, name: str, user_id: str, known: list[Fact], *, now: datetime) -> Discrepancy | None:
    account = accounts.show_account(session, user_id)
    try:
        found = entitlement_at(histories(known, dispute_policy()), now, catalogue())
    except UnmappedPriceError as error:
        return Discrepancy(DiscrepancyKind.UNKNOWN_PRICE, name, user_id, str(error))
    if found is None or (account and (account.plan, account.anchor) == (found.plan.name, found.anchor)):
        return None
    sentence = (
        f"The directory has plan {account.plan}, and Stripe's facts give another one."
        if account
        else "The directory has no plan, and Stripe's facts give one."
    )
    return Discrepancy(DiscrepancyKind.WRONG_PLAN, name, user_id, f"{sentence} {found.reason}")


def _corrected(
    finding: Discrepancy, snapshot: Snapshot, fetched: tuple[Fact, ...], *, now: datetime, actor: str
) -> Discrepancy:
    assert finding.user_id is not None
    try:
        with transaction() as session:
            if accounts.lock_customer(session, snapshot.customer_id) is None:
                accounts.link(session, snapshot.customer_id, finding.user_id, now=now, by=CAUSE)
            for fact in fetched:
                facts.add(session, fact, event_id=snapshot.identity)
            state = sync_user(session, finding.user_id, now=now, cause=CAUSE)
            audit.record(
                session,
                ChangeContext(now, actor, finding.sentence),
                action="billing.reconcile",
                subject=f"stripe:{snapshot.subscription_id}",
                after={"user": finding.user_id, "changes": list(state.changes)},
            )
    except NOT_IN_CATALOGUE as error:
        return Discrepancy(DiscrepancyKind.UNKNOWN_PRICE, finding.subscription_id, finding.user_id, str(error))
    sentence = " ".join((finding.sentence, *state.changes))
    return Discrepancy(finding.kind, finding.subscription_id, finding.user_id, sentence, is_corrected=True)
