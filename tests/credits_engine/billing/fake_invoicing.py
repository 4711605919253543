"""The part of Stripe's API that makes an invoice of one pack and takes the money for it, with Stripe's idempotency."""

import re
from dataclasses import dataclass, field

from tests.credits_engine.billing.stripe_objects import Json, seconds
from tests.credits_engine.billing.virtual_sales import one_off_line
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

CENTS = 1_000
Answer = tuple[int, Json]


@dataclass
class Invoicing:
    """Invoices by id, and what each idempotency key was answered with."""

    stripe: VirtualStripe
    invoices: dict[str, Json] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    charged: list[str] = field(default_factory=list)
    """The invoices whose money was taken, each time that it was."""
    declined: str = ""
    """What the bank says to the next payments; nothing takes them."""
    lost: list[str] = field(default_factory=list)
    """The last word of the path of requests whose next answers get lost, though they have their effect."""
    is_silent: bool = False
    """Whether Stripe tells of nothing, as if every event was late."""

    def posted(self, path: str, form: dict[str, list[str]], key: str | None) -> Answer | None:
        """Answer a request that makes something; None where it is about something else."""
        if key is not None and key in self.answers:
            return self.answers[key]
        found = self._post(path, {name: values[0] for name, values in form.items()})
        if found is not None and key is not None:
            self.answers[key] = found
        return found

    def got(self, path: str, customer: str | None) -> Answer | None:
        """Answer a question; None where it is about something else."""
        if path == "/v1/invoices" and customer:
            own = [each for each in self.invoices.values() if each["customer"] == customer]
            return 200, {"object": "list", "url": path, "has_more": False, "data": own}
        found = self.invoices.get(path.removeprefix("/v1/invoices/"))
        return (200, found) if found else None

    def deleted(self, path: str) -> Answer:
        """Delete a draft."""
        invoice = self.invoices.pop(path.removeprefix("/v1/invoices/"))
        return 200, {"id": invoice["id"], "object": "invoice", "deleted": True}

    def _post(self, path: str, form: dict[str, str]) -> Answer | None:
        if path == "/v1/invoices":
            return 200, self._created(form)
        if path == "/v1/invoiceitems":
            return 200, self._with_item(self.invoices[form["invoice"]], form["pricing[price]"])
        if found := re.fullmatch(r"/v1/invoices/(\w+)/(finalize|pay|void)", path):
            act = {"finalize": self._finalize, "pay": self._pay, "void": self._void}[found[2]]
            return act(self.invoices[found[1]])
        return None

    def _created(self, form: dict[str, str]) -> Json:
        invoice: Json = {
            "id": self.stripe._id("in"),
            "object": "invoice",
            "status": "draft",
            "customer": form["customer"],
            "currency": form["currency"],
            "created": seconds(self.stripe.now),
            "metadata": {"auto_top_up": form["metadata[auto_top_up]"]},
            "total": 0,
            "lines": {"object": "list", "data": [], "has_more": False, "url": "/v1/invoices/lines"},
        }
        self.invoices[invoice["id"]] = invoice
        return invoice

    def _with_item(self, invoice: Json, price: str) -> Json:
        number = len(self.invoices) * 10 + len(invoice["lines"]["data"])
        line = one_off_line(self.stripe, number, price, amount=CENTS, id=f"il_{invoice['id']}_{number}")
        invoice["lines"]["data"].append(line)
        invoice["total"] += CENTS
        return {"id": f"ii_{number}", "object": "invoiceitem"}

    def _finalize(self, invoice: Json) -> Answer:
        invoice["status"] = "open"
        return 200, invoice

    def _pay(self, invoice: Json) -> Answer:
        if invoice["status"] != "open":
            return 400, _error("invalid_request_error", f"Invoice is {invoice['status']}", "invoice_not_open")
        if self.declined:
            self._tell("invoice.payment_failed", invoice)
            return 402, _error("card_error", self.declined, "card_declined")
        invoice["status"] = "paid"
        self.charged.append(invoice["id"])
        self._tell("invoice.paid", invoice)
        return 200, invoice

    def _void(self, invoice: Json) -> Answer:
        if invoice["status"] != "open":
            return 400, _error("invalid_request_error", f"Invoice is {invoice['status']}", "invoice_not_open")
        invoice["status"] = "void"
        self._tell("invoice.voided", invoice)
        return 200, invoice

    def _tell(self, kind: str, invoice: Json) -> None:
        if not self.is_silent:
            self.stripe._send(kind, {**invoice, "lines": {**invoice["lines"], "data": [*invoice["lines"]["data"]]}})


def _error(kind: str, message: str, code: str) -> Json:
    return {"error": {"type": kind, "message": message, "code": code}}
