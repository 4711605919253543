"""The guard's part of a support bundle: the last verdict on each alert of each rollout, in figures."""

from datetime import datetime

from sqlalchemy.orm import Session

from alerts import store
from alerts.analysis.verdicts import Verdict
from alerts.definitions import rules_file
from control_plane.rollouts import store as rollout_store


def guard_section(session: Session, _now: datetime) -> dict[str, object]:
    """Return the verdicts by flag and alert, and what is wrong with the alerts' file."""
    verdicts = {
        rollout.flag: {
            each.alert: _figures(each) for each in store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)
        }
        for rollout in rollout_store.load_all(session)
    }
    return {"verdicts": verdicts, "alerts_file_problem": rules_file.current().problem}


def _figures(verdict: Verdict) -> dict[str, object]:
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
