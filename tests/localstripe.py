"""localstripe, a Stripe that nobody here wrote: a process of its own, asked by Stripe's own library."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import stripe

from tests.processes import dies_with_us, free_port

PROGRAM = Path(sys.prefix) / "localstripe" / "bin" / "localstripe"
KEY = "sk_test_of_the_tests"
START_SECONDS = 30
GOOD_CARD, EMPTY_CARD = "4242424242424242", "4000000000000341"


@dataclass(frozen=True, slots=True)
class LocalStripe:
    """A running localstripe, and its URL."""

    url: str

    def ask(self, method: str, path: str, **params: Any) -> Any:
        """Ask as a shop does."""
        client = stripe.StripeClient(KEY, base_addresses={"api": self.url}, http_client=stripe.RequestsClient())
        return client.raw_request(method, f"/v1/{path}", **params).data

    def send_events_to(self, url: str, secret: str) -> None:
        """Tell this address of everything from now on, signed."""
        webhook = {"url": url, "secret": secret}
        requests.post(f"{self.url}/_config/webhooks/ours", json=webhook, timeout=10).raise_for_status()

    def customer(self, user: str, number: str = GOOD_CARD) -> str:
        """Return a customer with a card, who says which user of ours they are."""
        customer: str = self.ask("post", "customers", email=f"{user}@example.test", metadata={"user_id": user})["id"]
        card = self.ask("post", "tokens", card={"number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123"})[
            "id"
        ]
        self.ask("post", f"customers/{customer}/sources", source=card)
        return customer

    def put_on_sale(self, product: str, **cents: int) -> None:
        """Sell plans by the month, each under the name that our price list knows."""
        made = self.ask("post", "products", name=product, type="service")["id"]
        for plan, amount in cents.items():
            self.ask("post", "plans", id=plan, product=made, amount=amount, currency="eur", interval="month")


@contextmanager
def localstripe(folder: Path) -> Iterator[LocalStripe]:
    """Run it while the block lasts, empty at first."""
    assert PROGRAM.exists(), "`make test-faults` installs localstripe."
    port, log = free_port(), folder / "localstripe.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "--from-scratch", "--port", str(port)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
        )
    try:
        yield LocalStripe(_wait_until_alive(f"http://127.0.0.1:{port}", process, log))
    finally:
        process.terminate()
        process.wait()


def _wait_until_alive(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    give_up = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        try:
            requests.get(f"{url}/js.stripe.com/v3/", timeout=1)
        except requests.RequestException:
            time.sleep(0.05)
        else:
            return url
    raise AssertionError(f"localstripe did not answer. It printed:\n{log.read_text(errors='replace')}")
