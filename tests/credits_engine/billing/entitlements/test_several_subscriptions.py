"""Users with several subscriptions at once: which of them decides when months begin."""

from datetime import timedelta

import pytest

from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.two_accounts import take
from tests.credits_engine.billing.virtual_collection import dispute
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SECOND = START + 9 * DAY


@pytest.mark.parametrize("names", ["ab", "ba"], ids=["sorts after", "sorts before"])
def test_the_same_plan_bought_once_more_opens_a_period_when_it_is_paid(billing: Billing, names: str) -> None:
    """Stripe's ids are by chance, so they decide nothing; nor does a dispute about the other one."""
    first, second = VirtualStripe(name=names[0]), VirtualStripe(name=names[1], now=SECOND)
    held = first.checkout("ada", "pro_yearly")
    billing.process(first.events, at=START)
    take(billing, "ada", "k1", 3_000)
    second.checkout("ada", "pro_yearly")
    billing.process(second.events, at=SECOND)
    assert [start for start, _, _ in billing.periods("ada")][-2:] == [START, SECOND]
    take(billing, "ada", "k2", 500)
    assert held.last_invoice
    for hours, status in enumerate(("needs_response", "won"), start=1):
        first.now, told = SECOND + hours * HOUR, len(first.events)
        dispute(first, held.last_invoice, status, SECOND + HOUR)
        billing.process(first.events[told:], at=first.now)
        assert (billing.user("ada")[0], billing.account("ada")["blocked"]) == ("pro", None)
        assert billing.used("ada")["analysis"] == 500
