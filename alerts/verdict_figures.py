"""Verdicts in figures: for the audit entry of a change, whoever made it, and for a support bundle."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from alerts import store
from alerts.analysis.verdicts import Verdict
from alerts.definitions import rules_file
from control_plane.core.phases import Rollout
from control_plane.rollouts import store as rollout_store

AUDIT_CONTEXT = "alerts"


def verdict_snapshot(session: Session, rollout: Rollout) -> Mapping[str, object]:
    """Return by alert: S bad of N since the attempt began, rate, threshold, evidence, attribution and verdict."""
    verdicts = store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)
    return {verdict.alert: _audit_figures(verdict) for verdict in verdicts}


def guard_section(session: Session, _now: datetime) -> dict[str, object]:
    """Return the last verdicts by flag and alert, and what is wrong with the alerts' file."""
    verdicts = {
        rollout.flag: {
            each.alert: _support_figures(each)
            for each in store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)
        }
        for rollout in rollout_store.load_all(session)
    }
    return {"verdicts": verdicts, "alerts_file_problem": rules_file.current().problem}


def _audit_figures(verdict: Verdict) -> dict[str, object]:
    return {
        "status": verdict.status.value,
        "bad": verdict.counts.bad,
        "total": verdict.counts.total,
        "rate": round(verdict.rate, 6),
        "threshold": verdict.threshold,
        "evidence_log10": round(verdict.evidence_log10, 2),
        "attribution": verdict.attribution.value,
        **({"cohort": verdict.cohort} if verdict.cohort else {}),
    }


def _support_figures(verdict: Verdict) -> dict[str, object]:
    return {
        "status": verdict.status.value,
        "at": verdict.at,
        "window": [verdict.window.bad, verdict.window.total],
        "attempt": [verdict.counts.bad, verdict.counts.total],
        "threshold": verdict.threshold_text,
        "evidence_log10": verdict.evidence_log10,
        "rollback_log10": verdict.rollback_log10,
        "attribution": verdict.attribution.value,
    }
