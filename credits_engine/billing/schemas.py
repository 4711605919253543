"""Billing's requests and responses as OpenAPI models."""

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field

from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation, ResponseModel


class EventReasonRequest(BaseModel):
    """Why, for every change."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=1, max_length=2000)


class LinkRequest(EventReasonRequest):
    """Which user a customer is."""

    userId: str = Field(min_length=1, max_length=255)  # noqa: N815 - the JSON name


class MergeRequest(EventReasonRequest):
    """Which user the other one becomes part of."""

    into: str = Field(min_length=1, max_length=255)


class PricesRequest(EventReasonRequest):
    """Prices as YAML, as the command line applies them."""

    prices: str = Field(max_length=200_000)


class ReconcileRequest(BaseModel):
    """Whether to correct differences."""

    model_config = ConfigDict(extra="forbid", strict=True)

    apply: bool = False


class PortalRequest(BaseModel):
    """The page of the product to come back to."""

    model_config = ConfigDict(extra="forbid", strict=True)

    returnUrl: str = Field(min_length=1, max_length=2000)  # noqa: N815 - the JSON name


class PortalLink(ResponseModel):
    """A link to Stripe's customer portal."""

    url: str


class InvoicePreviewRequest(BaseModel):
    """Another price by its id, or another quantity, to see what it would cost; neither for the next invoice."""

    model_config = ConfigDict(extra="forbid", strict=True)

    price: str | None = Field(None, min_length=1, max_length=255)
    quantity: int | None = Field(None, ge=0, le=1_000_000)


class InvoicePreview(ResponseModel):
    """What an invoice would ask, in the currency's smallest unit."""

    currency: str | None
    total: int | None
    lines: list[dict[str, object]]


class StripeEvent(BaseModel):
    """An event as Stripe delivers it; the signature in `Stripe-Signature` is over the very bytes."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: str
    created: int
    data: dict[str, object]


class EventReceived(ResponseModel):
    """The event is stored."""

    received: bool


class BillingRecent(ResponseModel):
    """The events of the last day."""

    by_state: dict[str, int]
    by_api_version: dict[str, int]


class BillingSummary(ResponseModel):
    """The backlog and its age."""

    waiting: dict[str, int]
    oldest_unapplied_seconds: float
    last_day: BillingRecent


class BillingEvent(ResponseModel):
    """One event of the inbox, and where it stands."""

    event_id: str
    number: int
    type: str
    state: str
    reason: str | None
    waiting_for: str | None
    customer: str | None
    object: str | None
    api_version: str | None
    livemode: bool | None
    received_at: str
    deliveries: int
    attempts: int
    next_attempt_at: str | None
    finished_at: str | None


class BillingEvents(ResponseModel):
    """A page of events, the newest first; `next` goes into `before`."""

    events: list[BillingEvent]
    next: int | None


class BillingEventInFull(BillingEvent):
    """An event with its body, its attempts and the facts that it told."""

    body: object
    history: list[dict[str, object]]
    facts: list[dict[str, object]]


class BillingReplay(ResponseModel):
    """The events to be applied again, by name or number."""

    replayed: list[str] | int


class BillingLink(ResponseModel):
    """A customer and its user, and the number of events that go on."""

    customer: str
    user_id: str
    released: int


class BillingMergeResult(ResponseModel):
    """A user who became part of another, and what changed for that one."""

    user_id: str
    into: str
    changes: list[str]


class BillingPrices(ResponseModel):
    """What was added to the built-in prices, as YAML that can be applied again."""

    prices: str


class BillingPricesDifference(ResponseModel):
    """What applying adds, what only we have, the events that wait for each price, and what Stripe does not sell."""

    added: list[dict[str, object]]
    missing: list[str]
    waiting: dict[str, int]
    not_at_stripe: list[str]


class BillingFinding(ResponseModel):
    """A difference between Stripe and us."""

    kind: str
    subscription: str | None
    user_id: str | None
    sentence: str
    corrected: bool


class BillingReport(ResponseModel):
    """The result of a comparison with Stripe."""

    compared: int
    findings: list[BillingFinding]


class BillingOpenFinding(ResponseModel):
    """A difference that is kept until it is gone or closed."""

    id: int
    kind: str
    object: str
    user_id: str | None
    sentence: str
    found_at: str


class BillingFindings(ResponseModel):
    """The open findings, the newest first, and the state of the comparison."""

    findings: list[BillingOpenFinding]
    compared_at: str | None
    error: str | None


class BillingCorrection(ResponseModel):
    """The outcome of a finding."""

    id: int
    sentence: str


class BillingPeriod(ResponseModel):
    """A service period of Stripe's."""

    start: str | None
    end: str | None


class BillingAccountDetail(ResponseModel):
    """A user's entitlement."""

    user_id: str
    plan: str
    anchor: str | None
    blocked: str | None
    reason: str | None
    subscription: str | None
    service_period: BillingPeriod
    next_change_at: str | None
    customers: list[str]
    events: list[BillingEvent]


PAGE = {"state": "Only events in this state.", "limit": "At most 200.", "before": "The number of the last one seen."}
ROUTES = {
    "stripe_webhook.receive": Documentation(body=StripeEvent, answers={200: EventReceived}),
    "billing.summary_view": Documentation(answers={200: BillingSummary}),
    "billing.events_view": Documentation(query=PAGE, answers={200: BillingEvents}),
    "billing.event_view": Documentation(answers={200: BillingEventInFull}),
    "billing.replay_view": Documentation(body=EventReasonRequest, answers={202: BillingReplay}),
    "billing.replay_all_view": Documentation(body=EventReasonRequest, answers={202: BillingReplay}),
    "billing.user_view": Documentation(answers={200: BillingAccountDetail}),
    "billing.link_view": Documentation(body=LinkRequest, answers={200: BillingLink}),
    "billing.merge_view": Documentation(body=MergeRequest, answers={200: BillingMergeResult}),
    "billing.prices_view": Documentation(answers={200: BillingPrices}),
    "billing.prices_preview_view": Documentation(body=PricesRequest, answers={200: BillingPricesDifference}),
    "billing.prices_apply_view": Documentation(body=PricesRequest, answers={200: BillingPricesDifference}),
    "billing.findings_view": Documentation(answers={200: BillingFindings}),
    "billing.apply_view": Documentation(body=EventReasonRequest, answers={200: BillingCorrection}),
    "billing.dismiss_view": Documentation(body=EventReasonRequest, answers={200: BillingCorrection}),
    "billing.reconcile_view": Documentation(body=ReconcileRequest, answers={200: BillingReport}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
