"""The packs on sale: what a one-off price buys besides the plan. Pure.

A pack bought is credits of one kind for so many days. A mistake here stops the start, in words.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from types import MappingProxyType

from credits_engine.engines.amounts import Kind
from credits_engine.engines.credit_plan import CreditKind
from credits_engine.engines.plans import CATALOGUE, Catalogue, CatalogueError


@dataclass(frozen=True, slots=True)
class PackPrice:
    """One price, by lookup key, and the pack that it buys."""

    price_key: str
    kind: Kind
    amount: int
    valid: timedelta


class PackPrices:
    """Packs on sale, found by price."""

    def __init__(self, offers: Iterable[PackPrice], catalogue: Catalogue) -> None:
        """Raise CatalogueError with all mistakes at once."""
        self._offers = tuple(offers)
        if mistakes := pack_price_errors(self._offers, catalogue):
            raise CatalogueError(" ".join(mistakes))
        self._priced: Mapping[str, PackPrice] = MappingProxyType({each.price_key: each for each in self._offers})

    def __iter__(self) -> Iterator[PackPrice]:
        return iter(self._offers)

    def find(self, price: str) -> PackPrice | None:
        """Return the pack that a price buys; None for one that buys no pack."""
        return self._priced.get(price)


def pack_price_errors(offers: tuple[PackPrice, ...], catalogue: Catalogue) -> list[str]:
    """Return every contradiction as a sentence; a price can't buy a plan and a pack."""
    prices = Counter(each.price_key for each in offers)
    mistakes = [f"Price lookup key {key!r} buys {n} packs; it may buy one." for key, n in prices.items() if n > 1]
    plans = {key for plan in catalogue for key in plan.price_keys}
    mistakes += [f"Price lookup key {key!r} buys a plan already." for key in sorted(prices.keys() & plans)]
    mistakes += [f"Pack {each.price_key!r} holds {each.amount} credits." for each in offers if each.amount < 1]
    mistakes += [f"Pack {each.price_key!r} expires when it is bought." for each in offers if not each.valid]
    return mistakes


YEAR = timedelta(days=365)


def find_offer(price: str) -> PackPrice | None:
    """Return the pack that a price buys; None for one that buys no pack."""
    return offers().find(price)


def offers() -> PackPrices:
    """Return the packs on sale, of every kind that the catalogue has."""
    return _offers(len(CATALOGUE.kinds))


@cache
def _offers(_kinds: int) -> PackPrices:
    return PackPrices((price for kind in CATALOGUE.kinds for price in _prices(kind)), CATALOGUE)


def _prices(kind: CreditKind) -> Iterator[PackPrice]:
    return (PackPrice(f"pack_{kind.name}_{amount}", Kind(kind.name), amount, YEAR) for amount in kind.packs)
