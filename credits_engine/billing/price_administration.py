"""Prices as data: written as YAML, compared, added and audited, and in force in every process within seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import yaml
from flask import current_app
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from credits_engine.administration import documents
from credits_engine.administration.documents import Start, start_of
from credits_engine.billing.entitlements import price_list
from credits_engine.billing.entitlements.plan_of_prices import is_mapped
from credits_engine.billing.entitlements.price_list import PRICE_LIST, AddedPrice, catalogue
from credits_engine.billing.inbox.handler import PRICE
from credits_engine.billing.store import inbox, prices
from credits_engine.billing.stripe_api.client import StripeGateway, price_names
from credits_engine.engines.plans import CATALOGUE

PRICES_MAX = 1_000
INVALID = "INVALID_PRICES"


class PackDocument(BaseModel):
    """So many credits of a kind, for so many days."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str = Field(max_length=32)
    amount: int
    days: int = 365


class PriceDocument(BaseModel):
    """A price by lookup key or id: it buys a plan or a pack, from a moment on."""

    model_config = ConfigDict(extra="forbid")

    price: str = Field(min_length=1, max_length=255)
    plan: str | None = Field(None, max_length=255)
    pack: PackDocument | None = None
    starts: Start = None

    def added(self, now: datetime) -> AddedPrice:
        """Return the price as it is stored; without a start it counts at once."""
        pack = self.pack
        return AddedPrice(
            self.price,
            start_of(self.starts, now),
            self.plan,
            pack.kind if pack else None,
            pack.amount if pack else None,
            pack.days if pack else None,
        )


class PricesDocument(BaseModel):
    """All prices that a shop adds to the built-in ones."""

    model_config = ConfigDict(extra="forbid")

    prices: list[PriceDocument] = Field(max_length=PRICES_MAX)


@dataclass(frozen=True, slots=True)
class Difference:
    """What applying would do: prices to add, those that only we have, and the events that wait for each."""

    added: tuple[AddedPrice, ...]
    missing: tuple[str, ...]
    waiting: Mapping[str, int]
    not_at_stripe: tuple[str, ...] = ()


def parsed(text: str) -> PricesDocument:
    """Return a document as YAML. Raises Problem, with the place of each mistake."""
    return documents.parsed(text, PricesDocument, INVALID)


def exported(session: Session) -> str:
    """Return the added prices as YAML that can be applied again."""
    return yaml.safe_dump({"prices": [document_of(each) for each in known(session)]}, sort_keys=False)


def document_of(each: AddedPrice) -> dict[str, object]:
    """Return one price as it is written."""
    pack = {"kind": each.kind, "amount": each.amount, "days": each.days}
    bought: dict[str, object] = {"plan": each.plan} if each.plan else {"pack": pack}
    return {"price": each.price, **bought, "starts": each.starts_at.isoformat()}


def known(session: Session) -> list[AddedPrice]:
    """Return every price that was added."""
    return [
        AddedPrice(row.price, row.starts_at, row.plan, row.kind, row.amount, row.days) for row in prices.every(session)
    ]


def difference(
    session: Session, document: PricesDocument, now: datetime, *, gateway: StripeGateway | None = None
) -> Difference:
    """Compare a document with what was added, and with what Stripe sells where it may be asked. Raises Problem."""
    wanted, before = [each.added(now) for each in document.prices], known(session)
    if found := _both_or_neither(document) + price_list.mistakes(wanted, before):
        raise Problem(422, INVALID, " ".join(found))
    names = {each.price for each in before}
    fresh = tuple(each for each in wanted if each.price not in names)
    waiting = inbox.count_waiting(session, [f"{PRICE}{each.price}" for each in fresh])
    return Difference(
        fresh,
        tuple(sorted(names - {each.price for each in wanted})),
        {name.removeprefix(PRICE): number for name, number in waiting.items()},
        _not_sold(fresh, gateway) if gateway else (),
    )


def apply(session: Session, document: PricesDocument, change: ChangeContext) -> Difference:
    """Add what is new. Raises Problem and changes nothing where anything is wrong."""
    found = difference(session, document, change.now)
    for each in found.added:
        _add(session, each, change)
    return found


@dataclass(frozen=True, slots=True)
class StripeCheck:
    """How the prices of plans that count now differ from those that Stripe sells."""

    not_sold: tuple[str, ...]
    buys_nothing: tuple[str, ...]


def compare_with_stripe(gateway: StripeGateway) -> StripeCheck:
    """Compare with what Stripe sells subscriptions at. Raises StripeUnavailableError and BreakerOpenError."""
    sold = [price_names(price) for price in gateway.prices()]
    ours = {each.price for each in PRICE_LIST.get().known if each.plan}
    ours |= {key for plan in CATALOGUE for key in plan.price_keys}
    return StripeCheck(
        tuple(sorted(ours - {name for names in sold for name in names})),
        tuple(" or ".join(names) for names in sold if not any(is_mapped(name, catalogue()) for name in names)),
    )


def _add(session: Session, each: AddedPrice, change: ChangeContext) -> None:
    row: dict[str, object] = {
        "price": each.price,
        "plan": each.plan,
        "kind": each.kind,
        "amount": each.amount,
        "days": each.days,
        "starts_at": each.starts_at,
    }
    if not prices.add(session, row, now=change.now, by=change.actor):
        raise Problem(409, "PRICE_ADDED", f"Somebody else has just added {each.price!r}; compare once more.")
    audit.record(session, change, action="billing.price", subject=f"stripe:{each.price}", after=document_of(each))


def reload(now: datetime) -> bool:
    """Bring this process up to the prices that were added or began to count; returns whether any did."""
    current = PRICE_LIST.get()
    with read_only() as session:
        stored = tuple(known(session))
    is_in_force = current.next_at is None or now < current.next_at
    if stored == current.known and is_in_force and current.catalogue.plans == CATALOGUE.plans:
        return False
    PRICE_LIST.set(current_app, price_list.price_list(stored, now))
    return True


def _not_sold(fresh: Sequence[AddedPrice], gateway: StripeGateway) -> tuple[str, ...]:
    """Return prices of plans that Stripe does not sell: a typo, most likely. Raises StripeUnavailableError."""
    sold = {name for price in gateway.prices() for name in price_names(price)}
    return tuple(each.price for each in fresh if each.plan and each.price not in sold)


def _both_or_neither(document: PricesDocument) -> list[str]:
    return [
        f"Price {each.price!r}: write a plan or a pack, and not both."
        for each in document.prices
        if (each.plan is None) == (each.pack is None)
    ]
