"""Reports after rollbacks over JSON: look, list what v2 served, approve the corrections."""

from datetime import UTC, datetime
from typing import Annotated

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import StringConstraints

from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.administration import queries
from credits_engine.aftermath import approving, documents, store
from credits_engine.api import bodies, entry_documents
from credits_engine.store import pages
from credits_engine.store.guardrails import OPERATIONS
from credits_engine.store.pages import Filters

bp = Blueprint("credits_aftermath", __name__, url_prefix="/api/admin/credits/rollbacks")

SHEET_ROWS = 10_000
PAGE_QUERY = {"after": "The user id the page before ended with.", "limit": "At most 200."}


class ApprovalBody(bodies.Body):
    """Why the proposed credits are given back."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


@bp.get("")
@require_role("owner")
def index() -> ResponseReturnValue:
    """The reports, the newest first."""
    queries.refuse_unknown()
    with read_only() as session:
        found = [(report, store.tally(session, report.id)) for report in store.latest(session)]
    return jsonify(reports=[documents.report_document(*each) for each in found])


@bp.get("/<flag>/<int:attempt>")
@openapi_doc(query={**PAGE_QUERY, "format": "`json`, or `csv` for up to 10,000 accounts."})
@require_role("owner")
def show(flag: str, attempt: int) -> ResponseReturnValue:
    """One report with a page of its accounts."""
    queries.refuse_unknown("after", "limit", "format")
    as_sheet = _as_sheet()
    limit = SHEET_ROWS if as_sheet else queries.limit()
    with read_only() as session:
        report = approving.found(session, flag, attempt)
        tally = store.tally(session, report.id)
        items = store.items(session, report.id, after=queries.text("after") or "", limit=limit + 1)
    if as_sheet:
        rows = map(documents.sheet_row, items[:limit])
        return entry_documents.sheet(f"rollback-{attempt}", documents.SHEET_COLUMNS, rows)
    page = {
        "items": [documents.item_document(item) for item in items[:limit]],
        "nextAfter": items[limit - 1].cost.user_id if len(items) > limit else None,
    }
    return jsonify(documents.report_document(report, tally) | page)


@bp.get("/<flag>/<int:attempt>/operations")
@openapi_doc(query={"cursor": "Where the page before ended.", "limit": "At most 200."})
@require_role("owner")
def operations(flag: str, attempt: int) -> ResponseReturnValue:
    """Every operation that v2 served in the bad time, with both answers, page by page."""
    queries.refuse_unknown("cursor", "limit")
    with read_only() as session:
        report = approving.found(session, flag, attempt)
        wanted = Filters(
            types=OPERATIONS, engine="v2", since=report.since, until=report.until, before_id=queries.cursor()
        )
        found = pages.journal(session, wanted, limit=queries.limit())
    return jsonify(entry_documents.page(found, entry_documents.full_entry))


@bp.post("/<flag>/<int:attempt>/approve")
@openapi_doc(body=ApprovalBody)
@require_role("owner")
def approve(flag: str, attempt: int) -> ResponseReturnValue:
    """Give back what the report proposes. Sending it again changes nothing; a large batch goes on by itself."""
    body = bodies.parsed(ApprovalBody, request.get_json(force=True))
    now = datetime.now(UTC)
    with transaction() as session:
        approving.approve(session, flag, attempt, now=now, actor=actor(), reason=body.reason)
    approving.post_approved(now)
    with read_only() as session:
        report = approving.found(session, flag, attempt)
        return jsonify(documents.report_document(report, store.tally(session, report.id)))


def _as_sheet() -> bool:
    wanted = request.args.get("format", "json")
    if wanted not in ("json", "csv"):
        raise Problem(400, "UNKNOWN_FORMAT", f"format is {wanted[:50]!r}; use json or csv.")
    return wanted == "csv"
