"""Usage by account over JSON: who consumes most, and one account day by day."""

from datetime import date, datetime, timedelta

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import ResponseModel, openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.api import journal_entries, query_params
from credits_engine.engines.amounts import KINDS
from credits_engine.store import account_usage
from credits_engine.store.account_usage import AccountDay, AccountUsage, Days

bp = Blueprint("credits_account_usage", __name__, url_prefix="/api/admin/credits/analytics/accounts")

DAYS_DEFAULT, DAYS_MAX = 30, 366
FIGURE_DIGITS_MAX = 18
TOP_COLUMNS = ("userId", "operations", "denied", "credits")
DAY_COLUMNS = ("day", "creditType", "operations", "denied", "credits")
SPAN = {
    "startDate": "The first UTC day; 29 days before the last by default.",
    "endDate": "The last UTC day; today by default. At most 366 days.",
    "format": "`json` or `csv`.",
}
TOP_QUERY = SPAN | {
    "creditType": "The kind of credits by which accounts are ordered; the first one by default.",
    "limit": "At most 200; 50 by default.",
    "cursor": "Where the page before ended.",
}


class TopAccounts(ResponseModel):
    """Accounts by what they consumed of a kind, after what was given back."""

    creditType: str  # noqa: N815 - the JSON name
    startDate: str  # noqa: N815 - likewise
    endDate: str  # noqa: N815 - likewise
    accounts: list[dict[str, object]]
    nextCursor: str | None  # noqa: N815 - likewise


class AccountDays(ResponseModel):
    """What an account consumed of each kind on each day."""

    userId: str  # noqa: N815 - the JSON name
    startDate: str  # noqa: N815 - likewise
    endDate: str  # noqa: N815 - likewise
    days: list[dict[str, object]]


@bp.get("")
@require_role("owner")
@openapi_doc(query=TOP_QUERY, answers={200: TopAccounts})
def top_view() -> ResponseReturnValue:
    """List accounts by their consumption of a kind, the highest first, a page at a time."""
    query_params.refuse_unknown(*TOP_QUERY)
    kind, days, most = query_params.kind() or KINDS[0], _days(clock.now()), query_params.limit()
    with read_only() as session:
        found = account_usage.top_accounts(session, kind, days, most=most + 1, after=_cursor())
    page = found[:most]
    after = cursor_of(page[-1]) if len(found) > most else None
    if query_params.wants_csv():
        return journal_entries.sheet("credits-accounts", TOP_COLUMNS, page, after=after)
    accounts = [dict(zip(TOP_COLUMNS, each, strict=True)) for each in page]
    return jsonify({"creditType": kind, **_span(days), "accounts": accounts, "nextCursor": after})


@bp.get("/<user_id>")
@require_role("owner")
@openapi_doc(query=SPAN, answers={200: AccountDays})
def account_view(user_id: str) -> ResponseReturnValue:
    """Return one account's consumption by day and kind, the oldest day first."""
    query_params.refuse_unknown(*SPAN)
    days = _days(clock.now())
    with read_only() as session:
        found = account_usage.days_of_account(session, user_id, days)
    if query_params.wants_csv():
        return journal_entries.sheet("credits-account", DAY_COLUMNS, found)
    return jsonify({"userId": user_id, **_span(days), "days": [day_document(each) for each in found]})


def day_document(each: AccountDay) -> dict[str, object]:
    """Serialize one day of an account."""
    return dict(zip(DAY_COLUMNS, each, strict=True))


def cursor_of(last: AccountUsage) -> str:
    """Return where the page after this account begins."""
    return f"{last.credits}:{last.user_id}"


def _cursor() -> tuple[int, str] | None:
    # A user's id of any length and kind is in it, and not a word of whoever asks.
    text = request.args.get("cursor")
    if text is None:
        return None
    figure, colon, user_id = text.partition(":")
    digits = figure.removeprefix("-")
    if not (colon and digits.isascii() and digits.isdecimal() and len(digits) <= FIGURE_DIGITS_MAX):
        raise Problem(400, "INVALID_CURSOR", f"cursor is {text[:50]!r}; write what the page before gave.")
    return int(figure), user_id


def _days(now: datetime) -> Days:
    """Return the days of `startDate` and `endDate`. Raises Problem for parts of days and for too many."""
    since, until = query_params.date_range()
    for name, moment in (("startDate", since), ("endDate", until)):
        if moment is not None and (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
            code = "INVALID_START_DATE" if name == "startDate" else "INVALID_END_DATE"
            raise Problem(400, code, f"{name} is no whole UTC day; write a date like 2026-01-31.")
    try:
        last = (until - timedelta(days=1) if until else now).date()
    except OverflowError:
        raise Problem(400, "INVALID_END_DATE", "endDate lies before every day that there is.") from None
    before = min(DAYS_DEFAULT - 1, (last - date.min).days)
    first = since.date() if since else last - timedelta(days=before)
    if not first <= last:
        raise Problem(400, "INVALID_START_DATE", "startDate lies in the future.")
    if (last - first).days >= DAYS_MAX:
        raise Problem(400, "INVALID_START_DATE", f"Ask for at most {DAYS_MAX} days at a time.")
    return Days(first, last)


def _span(days: Days) -> dict[str, str]:
    return {"startDate": days.first.isoformat(), "endDate": days.last.isoformat()}
