"""The alerts: all of them, and one in detail, which an owner may overrule for a while."""

from collections.abc import Callable
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from alerts.definitions import rules_file
from alerts.overrides import approval
from alerts.overrides.approval import OverrideRequest
from alerts.overrides.store import PendingOverride
from control_plane.platform import settings
from control_plane.platform.auth import authorization
from control_plane.platform.clock import DATABASE_CLOCK
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from dashboards import sse
from dashboards.chart_windows import chart_window
from dashboards.filters import clock
from dashboards.fragments import Fragments, alerts_fragments
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import alerts as screens
from dashboards.view_models.alerts import AlertsScreen
from dashboards.view_models.threshold_trial import Wanted
from dashboards.views.blueprint import bp, reader_language


@bp.get("/alerts")
@authorization.require_role("viewer")
def alerts() -> ResponseReturnValue:
    """Return every alert with what it has seen."""
    screen = _screen(DATABASE_CLOCK.now())
    return render_template("alerts.html", screen=screen, regions=alerts_fragments(screen))


@bp.get("/live/alerts")
@authorization.require_role("viewer")
def live_alerts() -> ResponseReturnValue:
    """Stream the page as it changes."""
    return sse.stream(_regions, reader_language)


@bp.get("/alerts/<name>")
@authorization.require_role("viewer")
def alert(name: str) -> ResponseReturnValue:
    """Return one alert: its history, its settings, and how many errors it takes."""
    return _alert_page(name)


def _alert_page(name: str) -> str:
    with read_only() as session:
        screen = screens.read_one(
            session,
            name,
            window=chart_window(request.args.get("window", "")),
            wanted=Wanted(request.args.get("threshold", "")[:50].strip(), request.args.get("over", "")[:50].strip()),
            now=DATABASE_CLOCK.now(),
            lease_seconds=settings.current().guard_lease_seconds,
        )
    if screen is None:
        raise Problem(404, "ALERT_NOT_FOUND", f"No rollout is guarded by an alert called {name!r}; see the list.")
    return render_template("alert.html", screen=screen)


@bp.post("/alerts/<flag>/<name>/override")
@authorization.require_role("owner")
def override_alert(flag: str, name: str) -> ResponseReturnValue:
    """Let the alert only notify for a while."""
    wanted = OverrideRequest(
        flag, name, request.form.get("minutes", 0, type=int), request.form.get("reason", "")[:2000]
    )

    def grant(session: Session, now: datetime) -> str:
        done = approval.grant(session, rules_file.current().rules, wanted, now=now, actor=authorization.actor())
        if isinstance(done, PendingOverride):
            return gettext(
                "It is critical: another owner has to agree by %(time)s. Until then it still acts.",
                time=clock(done.until),
            )
        return gettext("It only notifies now. Everybody was notified.")

    return _changed(name, grant)


@bp.post("/alerts/<flag>/<name>/override/end")
@authorization.require_role("operator")
def end_alert_override(flag: str, name: str) -> ResponseReturnValue:
    """Let the alert act again."""
    reason = request.form.get("reason", "")[:2000]

    def end(session: Session, now: datetime) -> str:
        approval.end(session, flag, name, now=now, actor=authorization.actor(), reason=reason)
        return gettext("It acts again.")

    return _changed(name, end)


def _changed(name: str, change: Callable[[Session, datetime], str]) -> ResponseReturnValue:
    """Make the change, which says what it did, and go back to the alert; a refusal keeps what was written."""
    try:
        with transaction() as session:
            done = change(session, DATABASE_CLOCK.now())
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _alert_page(name), problem.status
    flash(done, "success")
    return redirect(url_for("pages.alert", name=name), 303)


def _regions(now: datetime) -> Fragments:
    return alerts_fragments(_screen(now))


def _screen(now: datetime) -> AlertsScreen:
    with read_only() as session:
        return screens.read(session, now=now, lease_seconds=settings.current().guard_lease_seconds)
