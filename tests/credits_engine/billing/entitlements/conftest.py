"""What tests of entitlements share."""

from collections.abc import Iterator

import pytest

from control_plane.platform.db.database import read_only
from credits_engine.reconciliation.journal import reconcile
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe
from tests.credits_engine.rolling import rolling


@pytest.fixture
def rollover_of_pro(billing: Billing) -> Iterator[None]:
    """60 analysis credits of `pro`, and half its limit for roasts, roll over."""
    with rolling("pro", START):
        yield
    with read_only() as session:
        assert reconcile(session).clean


@pytest.fixture
def stripe(billing: Billing) -> VirtualStripe:
    """A Stripe where ada has subscribed to pro, of which we have heard."""
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_monthly")
    billing.process(stripe.events, at=START)
    return stripe
