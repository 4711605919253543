"""The leader's job: order for accounts that are short, and bring orders to their end."""

from dataclasses import dataclass
from datetime import datetime

from credits_engine.billing.auto_top_ups import orders
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY


@dataclass(slots=True)
class AutoTopUps:
    """Goes round the accounts that want it, some at a tick."""

    after: str = ""

    def tick(self, now: datetime) -> None:
        """Look at the next accounts, then at the orders that are due."""
        gateway = STRIPE_GATEWAY.get()
        if gateway is None:
            return
        self.after = orders.place_due(now, after=self.after)
        orders.process_due(gateway, now)
