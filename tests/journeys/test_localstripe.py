"""A customer's life at a Stripe that nobody here wrote: subscribed, told by signed webhooks, asked over its API, ended.

localstripe states everything in the form of 2017 (prices as plans, a charge within its invoice), has no lists of
prices, refunds by date and checkouts, and tells of no update. So this shows too what becomes of what can't be compared.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.localstripe import EMPTY_CARD, KEY, LocalStripe, localstripe
from tests.serving import COMMAND, ROOT, SECRET_KEY, Served, serving

pytestmark = pytest.mark.faults

SECRET = "whsec_of_the_journey_with_localstripe"
PATIENCE_SECONDS = 60


class Shop:
    """Their Stripe and our server, which knows it by its settings alone."""

    def __init__(self, theirs: LocalStripe, served: Served, settings: Mapping[str, str]) -> None:
        self.theirs, self._served, self._settings = theirs, served, settings
        theirs.send_events_to(f"{served.url}/webhooks/stripe", SECRET)
        theirs.put_on_sale("Credits", plus_monthly=1900, pro_monthly=4900)

    def rollout(self, *arguments: str) -> tuple[int, Any]:
        """Run a command as an operator; return its exit code and what it answers."""
        folder = self._served.log.parent
        environment = {"PATH": os.environ["PATH"], "INSTANCE_DIR": str(folder), **self._settings}
        command = [str(COMMAND), *arguments, "--json"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    def account(self, user: str) -> Any:
        """Return what a user's subscriptions entitle to."""
        return self.rollout("billing", "show", user)[1]

    def wait_until(self, user: str, is_so: Callable[[Any], bool]) -> Any:
        """Wait until the account of a user is as wanted; return it."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while True:
            account = self.account(user)
            if isinstance(account, dict) and is_so(account):
                return account
            assert time.monotonic() < give_up, account


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with localstripe(folder) as theirs:
        settings = {
            "STRIPE_API_URL": theirs.url,
            "STRIPE_API_KEY": KEY,
            "STRIPE_WEBHOOK_SECRETS": SECRET,
            "STRIPE_LIVEMODE": "false",
            "SECRET_KEY": SECRET_KEY,
            "ALERTS_FILE": str(ROOT / "alerts.yaml"),
        }
        with serving(folder, **settings) as served:
            yield Shop(theirs, served, settings)


def test_a_subscription_is_told_asked_for_compared_and_ended(shop: Shop) -> None:
    customer = shop.theirs.customer("ada")
    subscription = shop.theirs.ask("post", "subscriptions", customer=customer, items=[{"plan": "plus_monthly"}])["id"]
    paid = shop.wait_until("ada", lambda account: "Confirmed" in str(account["events"]))
    assert (paid["plan"], paid["subscription"], paid["customers"]) == ("plus", subscription, [customer])

    # It tells of no update, so only asking finds it.
    (item,) = shop.theirs.ask("get", f"subscriptions/{subscription}")["items"]["data"]
    items = [{"id": item["id"], "plan": "pro_monthly"}]
    shop.theirs.ask("post", f"subscriptions/{subscription}", items=items)
    code, compared = shop.rollout("billing", "reconcile")
    assert (code, compared["compared"], [each["kind"] for each in compared["findings"]]) == (1, 1, ["missed_state"])
    assert "404" in compared["error"], "prices are not to be had there, which is said and keeps nothing back"
    code, corrected = shop.rollout("billing", "reconcile", "--apply")
    assert [each["corrected"] for each in corrected["findings"]] == [True]
    assert shop.rollout("billing", "reconcile")[1]["findings"] == []
    assert shop.account("ada")["plan"] == "plus", "the dearer plan is not held before its first invoice is paid"

    shop.theirs.ask("delete", f"subscriptions/{subscription}")
    ended = shop.wait_until("ada", lambda account: "canceled" in account["reason"])
    assert ended["nextChangeAt"] == ended["servicePeriod"]["end"], "what was paid stays until then"


def test_a_card_that_can_not_pay_buys_nothing(shop: Shop) -> None:
    customer = shop.theirs.customer("bob", EMPTY_CARD)
    made = shop.theirs.ask("post", "subscriptions", customer=customer, items=[{"plan": "plus_monthly"}])
    assert made["status"] == "incomplete"
    told = shop.wait_until("bob", lambda account: "subscription.created" in str(account["events"]))
    assert told["plan"] == "free"
