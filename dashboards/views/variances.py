"""Variances on pages: where the engines differed, by cause, and one operation with both answers."""

from datetime import UTC, date, datetime, time, timedelta

from flask import flash, render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.comparison import Variance
from credits_engine.store.journal import Filters
from dashboards.language import gettext
from dashboards.view_models import variances as screens
from dashboards.views.blueprint import bp, row_id

FIELDS = ("class", "cause", "plan", "creditType", "userId", "startDate", "endDate")
TEXT_CHARACTERS = 200


@bp.get("/credits/variances")
@authorization.require_role("owner")
def variances() -> ResponseReturnValue:
    """Show where the engines differed; filters and place are in the address, in the words of the API."""
    address = {name: value for name in FIELDS if (value := request.args.get(name, "").strip()[:TEXT_CHARACTERS])}
    try:
        wanted = _filters(address)
    except ValueError as error:
        said = gettext("The filter can't be used, so everything is shown.")
        flash(f"{said}\n{error}", "refusal")
        address, wanted = {}, Filters()
    with read_only() as session:
        before = request.args.get("before", type=row_id)
        screen = screens.read(session, wanted, address, before=before, now=clock.now())
    return render_template("variances.html", screen=screen)


@bp.get("/credits/operations/<int:journal_id>")
@authorization.require_role("owner")
def operation(journal_id: int) -> ResponseReturnValue:
    """Show one operation as both engines decided it."""
    with read_only() as session:
        screen = screens.read_operation(session, journal_id, clock.now())
    if screen is None:
        raise Problem(404, "OPERATION_NOT_FOUND", f"The journal has no entry {journal_id}.")
    return render_template("operation.html", screen=screen)


def _filters(address: dict[str, str]) -> Filters:
    """Parse the filter; raises ValueError with a sentence."""
    kind, variance = address.get("creditType"), address.get("class")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"There are no credits {kind[:50]!r}; there are {' and '.join(KINDS)}.")
    if variance is not None and variance not in tuple(Variance):
        raise ValueError(f"There is no class {variance[:50]!r}.")
    since, until = _midnight(address.get("startDate")), _midnight(address.get("endDate"))
    return Filters(
        user_id=address.get("userId"),
        kind=kind,
        since=since,
        until=until + timedelta(days=1) if until else None,
        variance=variance,
        cause=address.get("cause"),
        plan=address.get("plan"),
    )


def _midnight(text: str | None) -> datetime | None:
    try:
        day = date.fromisoformat(text) if text else None
        # The day after the last one there is can't be written.
        return datetime.combine(day, time(), UTC) if day and day < date.max else None
    except ValueError:
        raise ValueError(f"{text!r} is no date like 2026-01-31.") from None
