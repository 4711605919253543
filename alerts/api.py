"""The alerts over JSON."""

from flask import Blueprint, Flask, jsonify
from flask.typing import ResponseReturnValue

from alerts import store
from alerts.analysis.rules import ErrorBudget, Rule, error_budgets
from alerts.analysis.verdicts import Verdict, to_json
from alerts.definitions import rules_file
from control_plane import rollouts
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only

bp = Blueprint("alerts", __name__, url_prefix="/api/alerts")


@bp.get("")
@require_role("viewer")
def index() -> ResponseReturnValue:
    """Return the rules in force, and why the file on disk is not, if it is not."""
    found = rules_file.current()
    budgets = error_budgets(found.rules)
    return jsonify({"alerts": [_rule(rule, budgets[rule.name]) for rule in found.rules], "problem": found.problem})


@bp.get("/<flag>")
@require_role("viewer")
def show(flag: str) -> ResponseReturnValue:
    """Return the last verdict on each alert of a flag."""
    with read_only() as session:
        rollout = rollouts.find(session, flag)
        verdicts = store.latest_verdicts(session, flag, attempt=rollout.attempt)
    return jsonify({"flag": flag, "attempt": rollout.attempt, "verdicts": [_verdict(each) for each in verdicts]})


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _rule(rule: Rule, budget: ErrorBudget) -> dict[str, object]:
    return {
        "name": rule.name,
        "threshold": rule.threshold_text,
        "window_seconds": rule.window_seconds,
        "severity": rule.severity,
        "action": rule.action,
        "compare": rule.compare,
        "per": rule.per,
        "alpha": budget.rollback,
        "hold_alpha": budget.hold,
        "flag": rule.flag,
        "budget": rule.credits_budget,
    }


def _verdict(verdict: Verdict) -> dict[str, object]:
    return to_json(verdict) | {"per": verdict.per, "rate": verdict.rate, "reason": verdict.reason}
