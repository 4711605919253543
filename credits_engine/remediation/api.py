"""Reports after rollbacks over JSON: look, list what v2 served, approve the corrections."""

from typing import Annotated

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import StringConstraints

from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from credits_engine.api import journal_entries, query_params, requests
from credits_engine.remediation import approval, serializers, store
from credits_engine.store import journal
from credits_engine.store.journal import OPERATIONS, Filters

bp = Blueprint("credits_remediation", __name__, url_prefix="/api/admin/credits/rollbacks")

SHEET_ROWS = 10_000
PAGE_QUERY = {"after": "The user id the page before ended with.", "limit": "At most 200."}


class ApprovalBody(requests.ConsumeBase):
    """Why the proposed credits are given back."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


@bp.get("")
@require_role("owner")
def index() -> ResponseReturnValue:
    """Return the reports, the newest first."""
    query_params.refuse_unknown()
    with read_only() as session:
        found = [(report, store.count_by_state(session, report.id)) for report in store.latest(session)]
    return jsonify(reports=[serializers.report_document(*each) for each in found])


@bp.get("/<flag>/<int:attempt>")
@openapi_doc(query={**PAGE_QUERY, "format": "`json`, or `csv` for up to 10,000 accounts."})
@require_role("owner")
def show(flag: str, attempt: int) -> ResponseReturnValue:
    """Return one report with a page of its accounts."""
    query_params.refuse_unknown("after", "limit", "format")
    as_sheet = query_params.wants_csv()
    limit = SHEET_ROWS if as_sheet else query_params.limit()
    with read_only() as session:
        report = approval.find_report(session, flag, attempt)
        counts = store.count_by_state(session, report.id)
        items = store.items(session, report.id, after=query_params.text("after") or "", limit=limit + 1)
    if as_sheet:
        rows = map(serializers.sheet_row, items[:limit])
        return journal_entries.sheet(f"rollback-{attempt}", serializers.sheet_columns(), rows)
    page = {
        "items": [serializers.item_document(item) for item in items[:limit]],
        "nextAfter": items[limit - 1].cost.user_id if len(items) > limit else None,
    }
    return jsonify(serializers.report_document(report, counts) | page)


@bp.get("/<flag>/<int:attempt>/operations")
@openapi_doc(query={"cursor": "Where the page before ended.", "limit": "At most 200."})
@require_role("owner")
def operations(flag: str, attempt: int) -> ResponseReturnValue:
    """Return every operation that v2 served during the incident, with both answers, page by page."""
    query_params.refuse_unknown("cursor", "limit")
    with read_only() as session:
        report = approval.find_report(session, flag, attempt)
        wanted = Filters(
            types=OPERATIONS, engine="v2", since=report.since, until=report.until, before_id=query_params.cursor()
        )
        found = journal.entries(session, wanted, limit=query_params.limit())
    return jsonify(journal_entries.page(found, journal_entries.full_entry))


@bp.post("/<flag>/<int:attempt>/approve")
@openapi_doc(body=ApprovalBody)
@require_role("owner")
def approve(flag: str, attempt: int) -> ResponseReturnValue:
    """Give back what the report proposes. Sending it again changes nothing; a large batch goes on by itself."""
    body = requests.parsed(ApprovalBody, request.get_json(force=True))
    now = clock.now()
    with transaction() as session:
        approval.approve(session, flag, attempt, now=now, actor=actor(), reason=body.reason)
    approval.post_approved(now)
    with read_only() as session:
        report = approval.find_report(session, flag, attempt)
        return jsonify(serializers.report_document(report, store.count_by_state(session, report.id)))
