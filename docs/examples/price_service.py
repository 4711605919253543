"""A service that moves its prices from a list to tiers, and needs nobody to watch: a fault in the tiers ends them.

    FLAGS_URL=http://127.0.0.1:8000 FLAGS_TOKEN=… FLAGS_RESULTS_TOKEN=… \
        flask --app docs/examples/price_service run --port 8002

The tokens are `rollout token create prices --type client` and `… --type service`. `price_alerts.yaml` beside this file
goes into the control plane's alerts.yaml, and `rollout plan apply price_plan.yaml` begins the rollout.
"""

import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from flask import Flask, request

from flags.client import Flags, connect

FLAG = "ENABLE_TIERED_PRICES"
PRICE = Decimal("12.50")
CENT = Decimal("0.01")

Cart = dict[str, int]
"""How many of each article; the discounts below take from it, which is why the shadow has a cart of its own."""
Pricing = Callable[[Cart], Decimal]


def list_price(cart: Cart) -> Decimal:
    """Price every article alike; every tenth is free."""
    total = Decimal(0)
    while cart:
        _, number = cart.popitem()
        total += (number - number // 10) * PRICE
    return total.quantize(CENT)


def tiered_price(cart: Cart) -> Decimal:
    """Price by tiers of ten, of which each costs as much as nine."""
    total = Decimal(0)
    while cart:
        _, number = cart.popitem()
        tiers, rest = divmod(number, 10)
        total += (9 * tiers + rest) * PRICE
    return total.quantize(CENT)


def create_app(flags: Flags | None = None, *, tiered: Pricing = tiered_price) -> Flask:
    """Return the service, with `flags` or those that the environment names."""
    app = Flask(__name__)
    here = flags or connect(
        os.environ["FLAGS_URL"],
        os.environ["FLAGS_TOKEN"],
        app_name="prices",
        cache_dir=Path(os.environ.get("FLAGS_CACHE", "flags")),
        results_token=os.environ["FLAGS_RESULTS_TOKEN"],
    )

    @app.post("/price")
    def price() -> dict[str, str]:
        user, cart = request.headers["X-User"], request.get_json()
        cohorts = {"country": request.headers.get("X-Country", "unknown")}
        found = here.compare(FLAG, control=list_price, candidate=tiered, key=user, arguments=(cart,), cohorts=cohorts)
        return {"price": str(found)}

    return app
