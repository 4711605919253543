"""The facts of one user by subscription, each in Stripe's order whatever the order of arrival."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from credits_engine.billing.entitlements.coverage import Payments
from credits_engine.billing.entitlements.given_back import DisputePolicy, disputed_invoices, shares_given_back
from credits_engine.billing.facts import (
    GRANTING,
    TERMINAL,
    DisputeStatus,
    Fact,
    InvoiceFailed,
    InvoiceItem,
    InvoiceLine,
    InvoicePaid,
    InvoiceVoided,
    Item,
    PauseBehavior,
    Snapshot,
    Source,
    Status,
)

# Where two snapshots of one second differ in nothing else, the one later in this list is believed.
PROGRESS = (
    Status.INCOMPLETE,
    Status.TRIALING,
    Status.UNPAID,
    Status.PAST_DUE,
    Status.PAUSED,
    Status.ACTIVE,
    Status.INCOMPLETE_EXPIRED,
    Status.CANCELED,
)


@dataclass(frozen=True, slots=True)
class History:
    """Everything known about one subscription, in Stripe's order whatever the order of arrival."""

    subscription_id: str
    snapshots: tuple[Snapshot, ...]
    failed: tuple[InvoiceFailed, ...]
    """Failures of invoices that were neither paid nor voided since."""
    voided: tuple[InvoiceVoided, ...]
    """Invoices that nobody paid before they were voided."""
    payments: Payments
    """What was paid, what of it was given back, and what nobody paid."""
    disputed_at: datetime | None = None
    """Since when a payment is disputed, where that freezes the credits."""

    @property
    def newest(self) -> Snapshot:
        """The latest state known."""
        return self.snapshots[-1]

    @property
    def paid(self) -> tuple[InvoicePaid, ...]:
        """The invoices that were paid, given back or not."""
        return self.payments.paid

    def is_frozen_at(self, now: datetime) -> bool:
        """Return whether an open dispute freezes what it grants."""
        return self.disputed_at is not None and self.disputed_at <= now

    @property
    def grants(self) -> list[Snapshot]:
        """The snapshots in states that grant something: none before the first payment, none after the end."""
        return [each for each in self.snapshots if each.status in GRANTING]


def histories(facts: Iterable[Fact], policy: DisputePolicy = DisputePolicy.FREEZE) -> list[History]:
    """Return the facts of one user by subscription; a subscription is known from its first snapshot on."""
    known = set(facts)
    snapshots = [each for each in known if isinstance(each, Snapshot)]
    keys = _former_keys(known)
    shares = shares_given_back(known)
    lost = disputed_invoices(known, DisputeStatus.LOST)
    disputed = disputed_invoices(known, DisputeStatus.OPEN) if policy is DisputePolicy.FREEZE else {}
    found = []
    for name in sorted({each.subscription_id for each in snapshots}):
        own = _ordered(_with_former_keys(each, keys) for each in snapshots if each.subscription_id == name)
        of_it = [each for each in known if getattr(each, "subscription_id", None) == name]
        paid = tuple(each for each in of_it if isinstance(each, InvoicePaid))
        items = tuple(each for each in of_it if isinstance(each, InvoiceItem))
        failed, voided = _unpaid(of_it, own)
        payments = Payments(paid, items, _unpaid_starts(of_it, paid), shares, lost, keys)
        disputed_at = min((disputed[each.invoice_id] for each in paid if each.invoice_id in disputed), default=None)
        found.append(History(name, own, failed, voided, payments, disputed_at))
    return found


def _unpaid_starts(facts: Iterable[Fact], paid: Iterable[InvoicePaid]) -> frozenset[datetime]:
    """Return starts of the periods whose invoice failed or was voided, and that no payment came for."""
    closed = {each.invoice_id for each in paid}
    unpaid = (each for each in facts if isinstance(each, InvoiceFailed | InvoiceVoided))
    return frozenset(each.period.start for each in unpaid if each.period and each.invoice_id not in closed)


def _unpaid(
    facts: Sequence[Fact], snapshots: Sequence[Snapshot]
) -> tuple[tuple[InvoiceFailed, ...], tuple[InvoiceVoided, ...]]:
    """Return the invoices that nobody paid, failed and voided.

    Those that Stripe was told to ask no money for are left out.
    """
    paid = {each.invoice_id for each in facts if isinstance(each, InvoicePaid)}
    voided = [each for each in facts if isinstance(each, InvoiceVoided) and each.invoice_id not in paid]
    tried = {each.invoice_id for each in facts if isinstance(each, InvoiceFailed) and not each.is_final}
    # What was tried before is given up; while collection is paused in this way nothing is tried.
    free = {each.invoice_id for each in facts if isinstance(each, InvoiceFailed) and _is_free(each, snapshots)} - tried
    closed = {*paid, *free, *(each.invoice_id for each in voided)}
    failed = (each for each in facts if isinstance(each, InvoiceFailed) and each.invoice_id not in closed)
    return tuple(failed), tuple(voided)


def order(snapshot: Snapshot) -> tuple[object, ...]:
    """Return Stripe's order of snapshots: an end is final, then the event's time, then what the object tells."""
    return (
        # An end is final: an older state that arrives later does not bring the subscription back.
        snapshot.status in TERMINAL,
        snapshot.at,
        # What an update replaced has the update's own second, and comes before it.
        snapshot.source is not Source.BEFORE,
        snapshot.period_start or snapshot.at,
        tuple(Source).index(snapshot.source),
        PROGRESS.index(snapshot.status),
        snapshot.identity,
    )


def state_at(snapshots: Iterable[Snapshot], moment: datetime) -> Snapshot | None:
    """Return the state that a subscription was in at `moment`; None before its first."""
    return next((each for each in reversed(tuple(snapshots)) if each.at <= moment), None)


def is_paused(snapshot: Snapshot | None, behavior: PauseBehavior, moment: datetime) -> bool:
    """Return whether collecting was paused in this way at `moment`, if this was the state then."""
    pause = snapshot.pause if snapshot else None
    return pause is not None and pause.behavior is behavior and not (pause.resumes_at and pause.resumes_at <= moment)


def _is_free(failed: InvoiceFailed, snapshots: Sequence[Snapshot]) -> bool:
    state = state_at(snapshots, failed.at)
    return failed.is_final and is_paused(state, PauseBehavior.MARK_UNCOLLECTIBLE, failed.at)


def _ordered(snapshots: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """Sort by Stripe's order; of several updates in the last second, that one last which no other says it replaced."""
    ordered = sorted(snapshots, key=order)
    last = [each for each in ordered if order(each)[:3] == order(ordered[-1])[:3]]
    replaced = {each.replaces for each in last if each.replaces != each.content}
    final = [each for each in last if each.content not in replaced]
    if len(final) == 1:
        ordered.remove(final[0])
        ordered.append(final[0])
    return tuple(ordered)


def _former_keys(facts: Iterable[Fact]) -> dict[str, tuple[str, ...]]:
    """Return the lookup keys by which each price was known.

    A key is moved to the successor, and old customers renew by id.
    """
    found: dict[str, set[str]] = {}
    for each in facts:
        for named in _named(each):
            if named.lookup_key:
                found.setdefault(named.price_id, set()).add(named.lookup_key)
    return {price_id: tuple(sorted(keys)) for price_id, keys in found.items()}


def _named(fact: Fact) -> Iterator[Item | InvoiceLine]:
    if isinstance(fact, Snapshot):
        yield from fact.items
    elif isinstance(fact, InvoicePaid | InvoiceFailed | InvoiceVoided):
        yield from fact.lines


def _with_former_keys(snapshot: Snapshot, keys: Mapping[str, tuple[str, ...]]) -> Snapshot:
    if all(keys.get(item.price_id, ()) in ((), (item.lookup_key,)) for item in snapshot.items):
        return snapshot
    items = tuple(replace(item, former_keys=keys.get(item.price_id, ())) for item in snapshot.items)
    return replace(snapshot, items=items)
