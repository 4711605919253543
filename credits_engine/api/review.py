"""Reviews for administrators: usage, the effect of switching the flag, and the soundness of the comparison."""

from dataclasses import asdict, astuple
from datetime import timedelta

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.administration import analytics
from credits_engine.api import journal_entries, query_params, serializers
from credits_engine.api.requests import AMOUNT_MAX
from credits_engine.engines.amounts import NOTHING
from credits_engine.engines.switch_preview import AnswerDiff, SwitchSummary
from credits_engine.migration.aa_test import OPERATIONS_DEFAULT, run_aa_test
from credits_engine.migration.switch_preview import Preview, preview
from credits_engine.store import usage, usage_webhooks
from credits_engine.store.usage import ANSWERS, Segment, UsageRow
from credits_engine.store.usage_webhooks import NearLimit

bp = Blueprint("credits_review", __name__, url_prefix="/api/admin/credits")

OPERATIONS_MAX = 100_000
LISTED = 100
ANALYTICS_DAYS, ANALYTICS_DAYS_MAX = 30, 366
SHEET_COLUMNS = ("userId", "plan", "creditType", "serving", "wouldBeRefused", "used", "limit", "reason")
ANALYTICS_QUERY = {
    "startDate": "The first UTC day, or an instant; 30 days ago by default.",
    "endDate": "The last UTC day, or an instant; now by default.",
    "by": "Comma separated: day, engine, plan, cohort (month of the sign-up); the first three by default.",
    "format": "`json` or `csv`.",
}
PREVIEW_QUERY = {
    "amount": "Of how many credits the next operation is; 1 by default.",
    "after": "The user id at which the look before ended.",
    "limit": "Stop after so many finds, at most 200; 10,000 users are looked at at most.",
    "format": "`json`, or `csv` for everybody among 10,000 users.",
}


@bp.get("/switch-preview")
@openapi_doc(query=PREVIEW_QUERY)
@require_role("owner")
def preview_view() -> ResponseReturnValue:
    """List the users whom the other engine would answer differently, one stretch of the directory at a time."""
    query_params.refuse_unknown("amount", "after", "limit", "format")
    amount = query_params.integer("amount", "INVALID_AMOUNT", AMOUNT_MAX) or 1
    after, as_sheet = query_params.text("after") or "", query_params.wants_csv()
    enough = None if as_sheet else query_params.limit()
    with read_only() as session:
        found = preview(session, after, now=clock.now(), amount=amount, enough=enough)
    if as_sheet:
        return journal_entries.sheet("credits-switch-preview", SHEET_COLUMNS, sheet_rows(found), after=found.next_after)
    return jsonify(preview_document(found))


@bp.get("/aa-test")
@openapi_doc(query={"operations": "How many of the latest operations; 10,000 by default, 100,000 at most."})
@require_role("owner")
def aa_test_view() -> ResponseReturnValue:
    """Run the A/A test: legacy against itself, and journal rows decided again."""
    query_params.refuse_unknown("operations")
    most = query_params.integer("operations", "INVALID_OPERATIONS", OPERATIONS_MAX) or OPERATIONS_DEFAULT
    with read_only() as session:
        found = run_aa_test(session, most=most)
    return jsonify(
        {
            "passed": found.passed,
            "operations": found.operations,
            "mismatches": len(found.mismatches),
            "unlike": len(found.unlike),
            "entries": [*found.mismatches, *found.unlike][:LISTED],
        }
    )


@bp.get("/analytics")
@openapi_doc(query=ANALYTICS_QUERY)
@require_role("owner")
def analytics_view() -> ResponseReturnValue:
    """Sum usage by day, engine, plan and cohort, with the days that stand out."""
    query_params.refuse_unknown("startDate", "endDate", "by", "format")
    since, until = query_params.date_range()
    until = until or clock.now()
    since = since or until - timedelta(days=ANALYTICS_DAYS)
    if until - since > timedelta(days=ANALYTICS_DAYS_MAX):
        raise Problem(400, "INVALID_START_DATE", f"Ask for at most {ANALYTICS_DAYS_MAX} days at a time.")
    by = query_params.choices("by", Segment, "UNKNOWN_SEGMENT") or frozenset(
        {Segment.DAY, Segment.ENGINE, Segment.PLAN}
    )
    with read_only() as session:
        rows = usage.daily_usage(session, by, since=since, until=until)
    days = [usage_document(row, by) for row in rows]
    if query_params.wants_csv():
        return journal_entries.sheet("credits-usage", usage_columns(by), (list(day.values()) for day in days))
    stand_out = analytics.changes(rows, since=since, until=until) if Segment.DAY in by else []
    return jsonify(
        {
            "startDate": serializers.instant(since),
            "endDate": serializers.instant(until),
            "days": days,
            "changes": [asdict(change) for change in stand_out],
        }
    )


@bp.get("/near-limit")
@require_role("owner")
def near_limit_view() -> ResponseReturnValue:
    """List users who have used most of a limit of v2 in their running period: `percent` (80), `limit`, and `after`."""
    query_params.refuse_unknown("percent", "limit", "after")
    percent, most = _whole("percent", 80, 100), _whole("limit", query_params.LIMIT_DEFAULT, query_params.LIMIT_MAX)
    with read_only() as session:
        found = usage_webhooks.near_limit(
            session, percent=percent, after=request.args.get("after", ""), most=most + 1, now=clock.now()
        )
    users = list(dict.fromkeys(each.user_id for each in found))
    page = users[:most]
    return jsonify(
        {
            "users": [_near_limit_document(each) for each in found if each.user_id in page],
            "nextAfter": page[-1] if len(users) > most else None,
        }
    )


def _near_limit_document(found: NearLimit) -> dict[str, object]:
    return {
        "userId": found.user_id,
        "plan": found.plan,
        "kind": found.kind,
        "used": found.used,
        "limit": found.limit,
        "periodEnd": serializers.instant(found.period_end),
    }


def _whole(name: str, default: int, most: int) -> int:
    text = request.args.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise Problem(400, "INVALID_NUMBER", f"{name} is {text[:20]!r}; write a whole number from 1 to {most}.")
    return int(text)


def usage_columns(by: frozenset[Segment]) -> list[str]:
    """Return the names of the figures of a segment."""
    return list(usage_document(UsageRow("", "", "", "", 0, 0, 0, NOTHING, NOTHING), by))


def usage_document(row: UsageRow, by: frozenset[Segment]) -> serializers.Document:
    """Serialize one segment of usage."""
    segments = {each.value: getattr(row, each.value) for each in Segment if each in by}
    answers = {name: getattr(row, name) for name in ANSWERS}
    operations = {f"{kind}_operations": number for kind, number in row.operations.items()}
    return {**segments, **answers, **operations, **row.credits.by_name()}


def preview_document(found: Preview) -> serializers.Document:
    """Return one stretch of the directory: the sums of it, and whom it concerns."""
    return {
        **summary_document(found.summary),
        "flips": [dict(zip(SHEET_COLUMNS, row, strict=True)) for row in sheet_rows(found)],
        "nextAfter": found.next_after,
    }


def summary_document(summary: SwitchSummary) -> serializers.Document:
    """Return the number of users examined, and of those affected by plan."""
    return {"users": summary.users, "wouldBeRefused": summary.refused, "wouldBeGranted": summary.granted}


def sheet_rows(found: Preview) -> list[tuple[object, ...]]:
    """Return one row per user and kind."""
    return [_row(flip) for flip in found.flips]


def _row(flip: AnswerDiff) -> tuple[object, ...]:
    return astuple(flip)
