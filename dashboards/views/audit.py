"""The audit trail."""

from flask import flash, render_template, request
from flask.typing import ResponseReturnValue

from control_plane.audit.api import FILTERS, audit_filter
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.auth.audit_search import AuditFilter
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from dashboards.language import gettext
from dashboards.problem_sentences import problem_sentence
from dashboards.view_models import audit as screens
from dashboards.views.blueprint import bp, row_id


@bp.get("/audit")
@authorization.require_role("viewer")
def audit_trail() -> ResponseReturnValue:
    """Show the audit trail; filters and place are in the address."""
    wanted = _wanted()
    with read_only() as session:
        screen = screens.read(
            session,
            screens.CHAIN_CHECK.get(),
            wanted,
            before=request.args.get("before", type=row_id),
            now=clock.now(),
        )
    return render_template("audit.html", screen=screen)


def _wanted() -> AuditFilter:
    """Read the filter; one that can't be read is said, and shows everything."""
    try:
        return audit_filter({name: request.args[name] for name in FILTERS if name in request.args})
    except Problem as problem:
        said = gettext("The filter can't be used, so everything is shown.")
        flash(f"{said}\n{problem_sentence(problem)}", "refusal")
        return AuditFilter()
