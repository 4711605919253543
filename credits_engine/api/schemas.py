"""OpenAPI models of the credits' routes; the views state the same in prose."""

from flask import Flask
from pydantic import ConfigDict

from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation, ResponseModel
from credits_engine.api import requests

SHEET = "text/csv"


class CreditsByKind(ResponseModel):
    """The figure of each kind; null is unlimited."""

    model_config = ConfigDict(extra="allow", json_schema_extra=requests.kind_properties)
    __pydantic_extra__: dict[str, int | None]


class ServingEngine(ResponseModel):
    """The serving engine; `fallback` is true exactly when legacy serves."""

    engine: str
    credits_v2_enabled: bool
    fallback: bool


class CreditReceipt(ServingEngine):
    """The receipt of an allowed operation."""

    operation_id: int | None
    user_id: str
    idempotency_key: str
    outcome: str
    reason: str
    requested: CreditsByKind
    charged: CreditsByKind
    uncharged: bool
    limit: CreditsByKind
    remaining: CreditsByKind
    period_start: str
    period_end: str
    occurred_at: str


class CreditReservation(CreditReceipt):
    """A receipt of credits that are held, and how the reservation stands."""

    state: str


class CreditReservationResult(ServingEngine):
    """The result of a reservation."""

    operation_id: int | None
    user_id: str
    idempotency_key: str
    state: str
    reserved: CreditsByKind
    committed: CreditsByKind


class CreditCorrection(ResponseModel):
    """An administrator's correction, by book."""

    operation_id: int | None
    user_id: str
    type: str
    posted: dict[str, CreditsByKind]
    reason: str


class CreditPack(ResponseModel):
    """A pack that was bought besides the plan."""

    operation_id: int | None
    user_id: str
    moved: int


class CreditFreeze(ResponseModel):
    """Whether the user is frozen, and whether that changed."""

    user_id: str
    frozen: bool
    changed: bool


class CreditJournal(ResponseModel):
    """A page of the journal, the newest first."""

    entries: list[dict[str, object]]
    has_more: bool
    next_cursor: str | None


class CreditVariances(CreditJournal):
    """A page of operations on which the engines did not simply agree, and all of them by cause."""

    groups: list[dict[str, object]]


class CreditAccount(ServingEngine):
    """Everything about one user."""

    user_id: str
    plan: str
    frozen: str | bool | None
    billing_anchor: str | None
    because: str
    books: dict[str, dict[str, object]]
    journal: CreditJournal


class CreditAnalytics(ResponseModel):
    """Usage by segment, and the days that stand out."""

    start_date: str
    end_date: str
    days: list[dict[str, object]]
    changes: list[dict[str, object]]


class CreditPreview(ResponseModel):
    """The users whom the other engine would answer differently."""

    users: int
    would_be_refused: dict[str, object]
    would_be_granted: dict[str, object]
    flips: list[dict[str, object]]
    next_after: str | None


class CreditAATest(ResponseModel):
    """The result of the A/A test."""

    passed: bool
    operations: int
    mismatches: int
    unlike: int
    entries: list[object]


class RollbackReport(ResponseModel):
    """The cost of a rolled back attempt, and the state of the corrections."""

    flag: str
    attempt: int
    cause: str
    rolled_back_at: str
    since: str
    until: str
    users: int
    operations: int
    v2_charged: CreditsByKind
    legacy_would_have_charged: CreditsByKind
    state: str
    accounts: dict[str, object]
    decided_by: str | None
    decided_at: str | None
    decision: str | None


class RollbackReportPage(RollbackReport):
    """A report with a page of its accounts."""

    items: list[dict[str, object]]
    next_after: str | None


class RollbackReports(ResponseModel):
    """Every report, the newest first."""

    reports: list[RollbackReport]


class CreditStatus(ResponseModel):
    """The status for the front end: figures of the serving book alone."""

    success: bool
    data: dict[str, object]


PAGE = {"cursor": "Where the page before ended.", "limit": "At most 200."}
FILTERS = {
    "creditType": "The kind of credits.",
    "startDate": "A date in UTC, or an instant with its time zone.",
    "endDate": "The same; a date is included.",
}
VARIANCES = {
    "class": "The class of the variance.",
    "cause": "What explains it.",
    "engine": "Who served, `legacy` or `v2`.",
    "plan": "The plan that the user has today.",
    "userId": "Of this user alone.",
    "format": "`json` or `csv`.",
}


class UserNearLimit(ResponseModel):
    """A limit of v2 that a user has used most of in their running period."""

    userId: str  # noqa: N815 - the JSON name
    plan: str
    kind: str
    used: int
    limit: int
    periodEnd: str  # noqa: N815 - the JSON name


class UsersNearLimit(ResponseModel):
    """Users who have used most of a limit, a row for each such kind."""

    users: list[UserNearLimit]
    nextAfter: str | None  # noqa: N815 - the JSON name


CONSUMED = Documentation(body=requests.ConsumeRequest, answers={200: CreditReceipt})
CORRECTED = {200: CreditCorrection}
ROUTES = {
    "credits.consume_view": CONSUMED,
    "credits.reserve_view": Documentation(body=requests.ReserveRequest, answers={200: CreditReservation}),
    "credits.commit_view": Documentation(body=requests.CommitRequest, answers={200: CreditReservationResult}),
    "credits.release_view": Documentation(body=requests.ReleaseRequest, answers={200: CreditReservationResult}),
    "credits.status_view": Documentation(answers={200: CreditStatus}),
    "credits.config_view": Documentation(answers={200: CreditStatus}),
    "credits_user.history_view": Documentation(
        query=FILTERS | PAGE,
        answers={200: CreditStatus},
    ),
    "credits_user.check_view": Documentation(body=requests.RequestedAmounts, answers={200: CreditStatus}),
    "credits_user.summary_view": Documentation(answers={200: CreditStatus}),
    "credits_admin.reset_view": Documentation(body=requests.ReasonedRequest, answers=CORRECTED),
    "credits_admin.adjust_view": Documentation(body=requests.AdjustRequest, answers=CORRECTED),
    "credits_admin.top_up_view": Documentation(body=requests.TopUpRequest, answers={200: CreditPack}),
    "credits_admin.revoke_view": Documentation(body=requests.RevokeRequest, answers={200: CreditPack}),
    "credits_admin.freeze_view": Documentation(body=requests.ReasonedRequest, answers={200: CreditFreeze}),
    "credits_admin.unfreeze_view": Documentation(body=requests.ReasonedRequest, answers={200: CreditFreeze}),
    "credits_admin.user_view": Documentation(query=PAGE, answers={200: CreditAccount}),
    "credits_admin.variances_view": Documentation(
        query=VARIANCES | FILTERS | PAGE,
        answers={200: (CreditVariances, SHEET)},
    ),
}
NEAR_LIMIT = {
    "percent": "How much of a limit is used at least; 80 by default.",
    "limit": "At most 200 users; 50 by default.",
    "after": "The user id at which the page before ended.",
}
REVIEW = {
    "preview_view": Documentation(answers={200: (CreditPreview, SHEET)}),
    "aa_test_view": Documentation(answers={200: CreditAATest}),
    "analytics_view": Documentation(answers={200: (CreditAnalytics, SHEET)}),
    "near_limit_view": Documentation(query=NEAR_LIMIT, answers={200: UsersNearLimit}),
}
REMEDIATION = {
    "credits_remediation.index": Documentation(answers={200: RollbackReports}),
    "credits_remediation.show": Documentation(answers={200: (RollbackReportPage, SHEET)}),
    "credits_remediation.operations": Documentation(answers={200: CreditJournal}),
    "credits_remediation.approve": Documentation(answers={200: RollbackReport}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, {**ROUTES, **REMEDIATION})
    openapi.describe(app, {f"credits_review.{name}": documentation for name, documentation in REVIEW.items()})
