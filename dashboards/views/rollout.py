"""The page of one rollout: GET renders it, POST calls one use case and comes back with what became of it."""

from collections.abc import Collection
from datetime import datetime
from functools import partial
from time import perf_counter

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import Action, Decision, Refusal
from control_plane.experiments.registry import migration_of
from control_plane.platform import clock, settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollout_names import environment_of, flag_of
from dashboards import actions, sse
from dashboards.chart_windows import ChartWindow, chart_window
from dashboards.filters import sentence_case
from dashboards.fragments import Fragments, rollout_fragments
from dashboards.language import gettext
from dashboards.problem_sentences import reason_sentence
from dashboards.side_names import localized_names
from dashboards.view_models import rollout as screens
from dashboards.view_models.rollout import RolloutScreen
from dashboards.views.blueprint import bp, reader_language
from dashboards.views.rollout_actions import ACTIONS, CONFIRMED_BY

RETRYABLE = {"VERSION_CONFLICT", "GATE_CLOSED", "GATE_UNKNOWN", "REASON_REQUIRED", "COOL_DOWN", *CONFIRMED_BY}
"""Reasons after which the form is shown again, with what was written in it."""
VERB = f"<any({', '.join(map(repr, ACTIONS))}):verb>"


@bp.get("/rollouts/<flag>")
@authorization.require_role("viewer")
def rollout(flag: str) -> ResponseReturnValue:
    """Show one rollout; how much time its charts show is in the address."""
    screen = _screen(flag, clock.now(), chart_window(request.args.get("window", "")))
    regions = rollout_fragments(screen)
    return render_template("rollout.html", screen=screen, regions=regions, silenced=lambda: screen.silenced)


@bp.get("/live/rollouts/<flag>")
@authorization.require_role("viewer")
def live_rollout(flag: str) -> ResponseReturnValue:
    """Stream the page as it changes."""
    with read_only() as session:
        rollouts.find(session, flag)
    return sse.stream(partial(_regions, flag, chart_window(request.args.get("window", ""))), reader_language)


@bp.get(f"/rollouts/<flag>/{VERB}")
@authorization.require_role("operator")
def action(flag: str, verb: str) -> ResponseReturnValue:
    """Return an action's own page: what it will do, and the reason it needs."""
    return _action_page(flag, verb)


@bp.post(f"/rollouts/<flag>/{VERB}")
def act(flag: str, verb: str) -> ResponseReturnValue:
    """Do it, if the caller's role covers it, and go back to the rollout."""
    return authorization.require_role(ACTIONS[verb].role)(_act)(flag, verb)


def _act(flag: str, verb: str) -> ResponseReturnValue:
    started = perf_counter()
    with transaction() as session:
        change = ChangeContext(clock.now(), authorization.actor(), request.form.get("reason", "")[:2000])
        decision = ACTIONS[verb].decide(session, flag, change)
    _flash_result(decision, verb, milliseconds=(perf_counter() - started) * 1000)
    if isinstance(decision, Refusal):
        codes = {reason.code for reason in decision.reasons}
        if codes <= RETRYABLE:
            # Whoever still wants it has the new version before them, and what they wrote.
            return _action_page(flag, verb, request.form.get("reason", ""), codes), 409
    elif decision.action is Action.DELETE:
        rest = url_for("pages.rollout", flag=flag_of(flag)) if environment_of(flag) else url_for("pages.rollouts")
        return redirect(rest, 303)
    return redirect(url_for("pages.rollout", flag=flag), 303)


def _action_page(flag: str, verb: str, reason: str = "", codes: Collection[str] = ()) -> str:
    screen = _screen(flag, clock.now())
    action = actions.action(screen.rollout, verb, screen.names, entering=screen.entering)
    confirmed_by = [field for code, field in CONFIRMED_BY.items() if code in codes or field in request.form]
    return render_template("action.html", screen=screen, action=action, reason=reason, confirmed_by=confirmed_by)


def _flash_result(decision: Decision, verb: str, *, milliseconds: float) -> None:
    """Leave a message for the next page: what was done, or every reason why not."""
    if isinstance(decision, Refusal):
        reasons = [sentence_case(reason_sentence(reason)) for reason in decision.reasons]
        flash("\n".join([gettext(ACTIONS[verb].impossible), *reasons]), "refusal")
        return
    done = actions.done(decision.before, decision.after, verb, localized_names(migration_of(decision.before.flag)))
    since = gettext("In force after %(ms)s ms, for every request from then on.", ms=round(milliseconds))
    flash(f"{done}\n{since}", "success")


def _regions(flag: str, window: ChartWindow, now: datetime) -> Fragments:
    return rollout_fragments(_screen(flag, now, window))


def _screen(flag: str, now: datetime, window: ChartWindow = ChartWindow.HOUR) -> RolloutScreen:
    lease_seconds = settings.current().guard_lease_seconds
    with read_only() as session:
        return screens.read(session, flag, now=now, lease_seconds=lease_seconds, window=window)
