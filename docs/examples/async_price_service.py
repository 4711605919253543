"""The prices of `price_service.py` in a service that awaits: both sides are coroutine functions.

prices = Prices(connect(url, token, results_token=service_token))
await prices.ask("ann", {"tea": 12})
"""

import asyncio
from decimal import Decimal

from docs.examples import price_service
from docs.examples.price_service import FLAG, Cart
from flags.client import Flags


async def list_price(cart: Cart) -> Decimal:
    """Price every article alike, by a catalogue that is asked for elsewhere."""
    await asyncio.sleep(0)  # where a real one waits for its database
    return price_service.list_price(cart)


async def tiered_price(cart: Cart) -> Decimal:
    """Price by tiers of ten."""
    await asyncio.sleep(0)
    return price_service.tiered_price(cart)


class Prices:
    """What a cart costs, by the side that the flag gives to its user."""

    def __init__(self, flags: Flags) -> None:
        self._flags = flags

    async def ask(self, user: str, cart: Cart) -> Decimal:
        """Answer by one side; the other follows in a task of the same event loop."""
        return await self._flags.compare_async(
            FLAG, control=list_price, candidate=tiered_price, key=user, arguments=(cart,)
        )
