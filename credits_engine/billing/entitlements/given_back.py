"""What of each payment was given back: by refunds that arrived, by disputes that were lost, by credit notes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from credits_engine.billing.facts import (
    CreditNote,
    Dispute,
    DisputeStatus,
    Fact,
    InvoicePaid,
    PackPaid,
    Payment,
    Refund,
    RefundFailed,
)


class DisputePolicy(StrEnum):
    """What an open dispute does to the credits that the payment bought."""

    FREEZE = "freeze"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class GivenBack:
    """How much of a payment was given back. Where its whole `amount` is not known, all of it counts."""

    payment_intent: str | None
    invoice_id: str | None
    amount: int | None
    refunded: int = 0
    disputed: int = 0

    @property
    def share(self) -> Fraction:
        """The share given back, by one cent more than was refunded: a share of days has no exact amount of cents."""
        return self._share_of(self.refunded + self.disputed + 1)

    @property
    def exact_share(self) -> Fraction:
        """The share given back to the cent, as whole credits are counted."""
        return self._share_of(self.refunded + self.disputed)

    def _share_of(self, cents: int) -> Fraction:
        if self.refunded + self.disputed <= 0:
            return Fraction(0)
        return min(Fraction(1), Fraction(cents, self.amount)) if self.amount else Fraction(1)


@dataclass(frozen=True, slots=True)
class CreditedByNotes:
    """By how much the credit notes of an invoice lower it: after its payment, other than by a refund, and before."""

    after: int = 0
    before: int = 0

    def share_of(self, invoiced: int) -> Fraction:
        """Return which share of `invoiced` the notes gave back after the payment."""
        return Fraction(self.after, invoiced) if invoiced > 0 else Fraction(0)


NO_NOTES = CreditedByNotes()


def charges_given_back(facts: Iterable[Fact], policy: DisputePolicy) -> list[GivenBack]:
    """Return every charge of which something was refunded or lost in a dispute.

    With `FREEZE` an open one counts as lost.
    """
    known = list(facts)
    refunds = {each.charge_id: each for each in _latest_refunds(known)}
    disputes = disputes_by_charge(known)
    failed = _first_failures(known)
    invoices = invoices_by_payment(known)
    found = []
    for charge_id in sorted({*refunds, *disputes}):
        refund, disputed = refunds.get(charge_id), disputes.get(charge_id, [])
        intents = [each.payment_intent for each in (refund, *disputed) if each and each.payment_intent]
        intent = intents[0] if intents else None
        found.append(
            GivenBack(
                payment_intent=intent,
                invoice_id=(refund and refund.invoice_id) or (invoices.get(intent) if intent else None),
                amount=refund.amount if refund else None,
                refunded=_refunded(refund, failed) if refund else 0,
                disputed=sum(each.amount for each in disputed if _counts(each, policy)),
            )
        )
    return found


def shares_given_back(facts: Iterable[Fact]) -> dict[str, Fraction]:
    """Return the share of each invoice that was given back: by its charges, and by credit notes beside those."""
    known = list(facts)
    invoices = {each.invoice_id: each for each in known if isinstance(each, InvoicePaid)}
    totals = {name: each.total for name, each in invoices.items()}
    charges: dict[str, list[GivenBack]] = {}
    for each in charges_given_back(known, DisputePolicy.KEEP):
        if each.invoice_id:
            charges.setdefault(each.invoice_id, []).append(each)
    notes = credited_by_notes(known)
    # A part that was never asked for is a lower price, of which what is given back is a share.
    invoiced = {name: total - notes.get(name, NO_NOTES).before for name, total in totals.items()}
    shares = {name: _sum_of(found, invoiced.get(name)).share for name, found in charges.items()}
    for name, note in notes.items():
        if totals.get(name, 0) > 0:
            is_unpaid = invoiced[name] <= 0 and invoices[name].amount_paid == 0
            # What a note gives back by a refund is not in its amount, so nothing is counted twice.
            shares[name] = min(Fraction(1), shares.get(name, Fraction(0)) + note.share_of(invoiced[name]) + is_unpaid)
    return shares


def share_of_pack(paid: PackPaid, charges: Iterable[GivenBack], notes: Mapping[str, CreditedByNotes]) -> Fraction:
    """Return which share of a pack's payment was given back, to the cent."""
    note = notes.get(paid.invoice_id or "", NO_NOTES)
    invoiced = paid.total and paid.total - note.before
    if invoiced is not None and invoiced <= 0 < note.before:
        return Fraction(1)
    found = [each for each in charges if _pays(each, paid)]
    share = _sum_of(found, invoiced).exact_share if found else Fraction(0)
    return min(Fraction(1), share + note.share_of(invoiced or 0))


def _pays(charge: GivenBack, paid: PackPaid) -> bool:
    by_payment = charge.payment_intent is not None and charge.payment_intent == paid.payment_intent
    return by_payment or (charge.invoice_id is not None and charge.invoice_id == paid.invoice_id)


def disputed_invoices(facts: Iterable[Fact], status: DisputeStatus) -> dict[str, datetime]:
    """Return the invoices whose payment is in a dispute of this status, by the moment since which it is."""
    known = list(facts)
    invoices = invoices_by_payment(known)
    of_charges = {each.charge_id: each.invoice_id for each in known if isinstance(each, Refund)}
    found: dict[str, datetime] = {}
    for each in (each for disputes in disputes_by_charge(known).values() for each in disputes):
        invoice_id = of_charges.get(each.charge_id or "") or invoices.get(each.payment_intent or "")
        if each.status is status and invoice_id:
            found[invoice_id] = min(each.at, found.get(invoice_id, each.at))
    return found


def invoices_by_payment(known: Iterable[Fact]) -> dict[str, str]:
    """Return the invoice that each payment settled.

    The invoice itself says so, or since 2025-03-31.basil its payment.
    """
    return {
        each.payment_intent: each.invoice_id
        for each in known
        if isinstance(each, InvoicePaid | Payment) and each.payment_intent
    }


def _sum_of(charges: list[GivenBack], total: int | None) -> GivenBack:
    """Add up what was given back: one invoice may be paid by several charges, and their sum's share counts."""
    amounts = [each.amount for each in charges if each.amount]
    # Charges of which nothing was given back are not known here, and a balance pays without one: the total has all.
    known = max(sum(amounts), total or 0)
    return GivenBack(
        payment_intent=None,
        invoice_id=None,
        amount=known if len(amounts) == len(charges) else total,
        refunded=sum(each.refunded for each in charges),
        disputed=sum(each.disputed for each in charges),
    )


def _latest_refunds(known: Iterable[Fact]) -> Iterable[Refund]:
    latest: dict[str, Refund] = {}
    for each in (each for each in known if isinstance(each, Refund)):
        before = latest.get(each.charge_id)
        # Stripe states the total refunded of a charge, which a refund that fails lowers again.
        if before is None or (before.at, before.amount_refunded) < (each.at, each.amount_refunded):
            latest[each.charge_id] = each
    return latest.values()


def _first_failures(known: Iterable[Fact]) -> list[RefundFailed]:
    """Return each refund that failed, once: several events tell of it."""
    first: dict[str, RefundFailed] = {}
    failures = [each for each in known if isinstance(each, RefundFailed)]
    for each in sorted(failures, key=lambda one: (one.at, one.identity), reverse=True):
        first[each.refund_id] = each
    return list(first.values())


def _refunded(refund: Refund, failed: Iterable[RefundFailed]) -> int:
    """Return the total stated last, without the refunds that failed since."""
    since = (each for each in failed if each.at >= refund.at and _is_of(each, refund))
    return max(0, refund.amount_refunded - sum(each.amount for each in since))


def _is_of(failed: RefundFailed, refund: Refund) -> bool:
    if failed.charge_id:
        return failed.charge_id == refund.charge_id
    return failed.payment_intent is not None and failed.payment_intent == refund.payment_intent


def disputes_by_charge(known: Iterable[Fact]) -> dict[str, list[Dispute]]:
    """Return the latest word on each dispute, by charge: once decided it stays so, however late its opening is told."""
    latest: dict[str, Dispute] = {}
    for each in (each for each in known if isinstance(each, Dispute)):
        before = latest.get(each.dispute_id)
        if before is None or _rank(before) < _rank(each):
            latest[each.dispute_id] = each
    found: dict[str, list[Dispute]] = {}
    for each in sorted(latest.values(), key=lambda one: one.dispute_id):
        found.setdefault(each.charge_id or each.dispute_id, []).append(each)
    return found


def _rank(dispute: Dispute) -> tuple[bool, datetime, str]:
    return (dispute.status is not DisputeStatus.OPEN, dispute.at, dispute.identity)


def _counts(dispute: Dispute, policy: DisputePolicy) -> bool:
    return dispute.status is DisputeStatus.LOST or (
        dispute.status is DisputeStatus.OPEN and policy is DisputePolicy.FREEZE
    )


def credited_by_notes(known: Iterable[Fact]) -> dict[str, CreditedByNotes]:
    """Return by how much the notes of each invoice lower it after its payment, and before."""
    notes = [each for each in known if isinstance(each, CreditNote)]
    void = {note.credit_note_id for note in notes if note.is_void}
    # An update of a note states it anew: only its latest amount counts.
    latest: dict[str, CreditNote] = {}
    for note in sorted(notes, key=lambda one: (one.at, one.identity)):
        if note.credit_note_id not in void:
            latest[note.credit_note_id] = note
    sums: dict[str, CreditedByNotes] = {}
    for note in latest.values():
        known_of = sums.get(note.invoice_id, NO_NOTES)
        sums[note.invoice_id] = CreditedByNotes(
            known_of.after + note.amount, known_of.before + note.amount_before_payment
        )
    return sums
