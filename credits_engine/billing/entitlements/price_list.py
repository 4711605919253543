"""The prices in force: those of the catalogue and those that were added while the program runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from control_plane.platform.extensions import AppState
from credits_engine.engines import pack_prices
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.engines.pack_prices import PackPrice
from credits_engine.engines.plans import CATALOGUE, Catalogue

DAYS_MAX = 3_660
AMOUNT_MAX = 10**9


@dataclass(frozen=True, slots=True)
class AddedPrice:
    """A price by lookup key or id, what it buys (a plan, or a pack of so many credits of a kind), and from when on."""

    price: str
    starts_at: datetime
    plan: str | None = None
    kind: str | None = None
    amount: int | None = None
    days: int | None = None

    @property
    def buys(self) -> tuple[object, ...]:
        """The thing it buys, comparable."""
        return (self.plan, self.kind, self.amount, self.days)


@dataclass(frozen=True, slots=True)
class PriceList:
    """What every price buys now, and when the next one begins to."""

    catalogue: Catalogue = CATALOGUE
    packs: Mapping[str, PackPrice] = field(default_factory=dict)
    known: tuple[AddedPrice, ...] = ()
    next_at: datetime | None = None


PRICE_LIST = AppState[PriceList]("price_list")


def catalogue() -> Catalogue:
    """Return the plans, found by every price in force."""
    return PRICE_LIST.get().catalogue


def find_offer(price: str) -> PackPrice | None:
    """Return the pack that a price buys; None for one that buys no pack."""
    return pack_prices.find_offer(price) or PRICE_LIST.get().packs.get(price)


def price_list(added: Iterable[AddedPrice], now: datetime) -> PriceList:
    """Return the prices in force at `now`; one whose plan has left the catalogue buys nothing."""
    known = tuple(added)
    begun = [each for each in known if each.starts_at <= now]
    names = {plan.name for plan in CATALOGUE}
    return PriceList(
        CATALOGUE.with_prices({each.price: each.plan for each in begun if each.plan in names}),
        {each.price: _pack(each) for each in begun if each.plan is None},
        known,
        min((each.starts_at for each in known if each.starts_at > now), default=None),
    )


def mistakes(wanted: Iterable[AddedPrice], known: Iterable[AddedPrice]) -> list[str]:
    """Return why these prices can't be added, a sentence each; one that is known already may be repeated as it is."""
    before = {each.price: each for each in known}
    found: list[str] = []
    earlier: set[str] = set()
    for each in wanted:
        found += [f"Price {each.price!r}: {sentence}" for sentence in _mistakes(each, before.get(each.price))]
        found += [f"Price {each.price!r} stands there twice."] if each.price in earlier else []
        earlier.add(each.price)
    return found


def _mistakes(each: AddedPrice, before: AddedPrice | None) -> list[str]:
    found = []
    if each.price != each.price.strip() or not each.price:
        found.append("it is blank or has blanks around it.")
    if CATALOGUE.has_price(each.price) or pack_prices.find_offer(each.price):
        found.append("it is built in already.")
    if before is not None and before.buys != each.buys:
        found.append("it buys something else already, and goes on doing so; make a new price at Stripe.")
    if each.plan is not None:
        found += [] if each.plan in {plan.name for plan in CATALOGUE} else [f"there is no plan {each.plan!r}."]
        return found
    if each.kind not in KINDS:
        found.append(f"there is no kind {each.kind!r} of credits.")
    if each.amount is None or not 1 <= each.amount <= AMOUNT_MAX:
        found.append(f"a pack holds at least one credit, and at most {AMOUNT_MAX:,}.")
    if each.days is None or not 1 <= each.days <= DAYS_MAX:
        found.append(f"a pack is valid for 1 to {DAYS_MAX} days.")
    return found


def _pack(each: AddedPrice) -> PackPrice:
    assert each.kind is not None
    assert each.amount is not None
    assert each.days is not None
    return PackPrice(each.price, Kind(each.kind), each.amount, timedelta(days=each.days))
