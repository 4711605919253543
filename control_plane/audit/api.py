"""The audit trail over JSON, and as a file: searched by flag, person, action and time."""

from collections.abc import Mapping
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, jsonify, request, stream_with_context
from flask.typing import ResponseReturnValue

from control_plane.audit.schemas import AuditPage
from control_plane.platform.auth import audit, audit_export, audit_search
from control_plane.platform.auth.audit_search import PAGE_ENTRIES, PAGE_ENTRIES_MAX, AuditFilter
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.problems import Problem
from control_plane.platform.row_ids import ROW_ID_MAX

bp = Blueprint("audit", __name__, url_prefix="/api/audit")

TEXT_MAX = 200
FILTERS = {
    "flag": "Only entries about this flag and its rollout.",
    "actor": "Only entries by this person, token or part of the program.",
    "action": "Only entries of this action, such as rollout.advance.",
    "subject": "Only entries about this subject, such as person:olga.",
    "since": "Only entries from this instant on, as 2026-01-31T08:00:00Z.",
    "until": "Only entries before this instant.",
}


@bp.get("")
@require_role("viewer")
@openapi_doc(
    query={**FILTERS, "cursor": "As `next` of the page before.", "limit": f"Up to {PAGE_ENTRIES_MAX}."},
    answers={200: AuditPage},
)
def index() -> ResponseReturnValue:
    """Return a page of the audit trail, the newest first."""
    wanted = audit_filter(request.args, also=("cursor", "limit"))
    before = _integer("cursor", ROW_ID_MAX)
    limit = _integer("limit", PAGE_ENTRIES_MAX) or PAGE_ENTRIES
    with read_only() as session:
        found = audit_search.page(session, wanted, before=before, limit=limit + 1)
    following = str(found[limit - 1].id) if len(found) > limit else None
    return jsonify({"entries": [audit.to_json(entry) for entry in found[:limit]], "next": following})


@bp.get("/export")
@require_role("viewer")
@openapi_doc(query={**FILTERS, "format": "jsonl (default) or csv."}, answers={200: "application/jsonl"})
def export() -> ResponseReturnValue:
    """Return all of it, the newest first, as JSON lines or CSV."""
    wanted = audit_filter(request.args, also=("format",))
    text = request.args.get("format", audit_export.Format.JSON_LINES)
    if text not in set(audit_export.Format):
        raise Problem(400, "UNKNOWN_FORMAT", f"format is {text[:50]!r}; use jsonl or csv.")
    form = audit_export.Format(text)
    headers = {"Content-Disposition": f'attachment; filename="audit.{form}"'}
    lines = stream_with_context(audit_export.lines(audit_search.every(wanted), form))
    return Response(lines, mimetype=form.media_type, headers=headers)


def audit_filter(parameters: Mapping[str, str], *, also: tuple[str, ...] = ()) -> AuditFilter:
    """Read a filter. Raises a 400 Problem for a parameter that is unknown or can't be read."""
    for name in parameters:
        if name not in FILTERS and name not in also:
            known = ", ".join((*FILTERS, *also))
            raise Problem(400, "UNKNOWN_PARAMETER", f"There is no parameter {name[:50]!r}; use {known}.")
    values = {name: parameters[name] for name in ("flag", "actor", "action", "subject") if parameters.get(name)}
    for name, word in values.items():
        if len(word) > TEXT_MAX or not word.isprintable():
            raise Problem(400, "INVALID_TEXT", f"{name} needs 1 to {TEXT_MAX} printable characters.")
    return AuditFilter(**values, since=_instant(parameters, "since"), until=_instant(parameters, "until"))


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _instant(parameters: Mapping[str, str], name: str) -> datetime | None:
    """Return an instant with its zone, or a date, which begins in UTC."""
    text = parameters.get(name, "")
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
        if len(text) <= len("2026-01-31"):
            return instant.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    expected = "a date like 2026-01-31, or an instant with its time zone like 2026-01-31T08:00:00Z"
    raise Problem(400, "INVALID_INSTANT", f"{name} is {text[:50]!r}; write {expected}.")


def _integer(name: str, most: int) -> int | None:
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and 1 <= int(text) <= most):
        raise Problem(
            400, f"INVALID_{name.upper()}", f"{name} is {text[:50]!r}; write a whole number from 1 to {most}."
        )
    return int(text)
