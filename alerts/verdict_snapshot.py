"""The verdicts at the moment of a change, for its audit entry, whoever made it."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from alerts import store
from alerts.analysis.verdicts import Verdict
from control_plane.core.phases import Rollout

NAME = "alerts"


def verdict_snapshot(session: Session, rollout: Rollout) -> Mapping[str, object]:
    """Return by alert: S bad of N since the attempt began, rate, threshold, evidence, attribution and verdict."""
    verdicts = store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)
    return {verdict.alert: _figures(verdict) for verdict in verdicts}


def _figures(verdict: Verdict) -> dict[str, object]:
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
