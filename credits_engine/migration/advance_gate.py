"""The migration's gate on an advance: whom v2 would refuse next, and whether the comparison is sound.

It reads the last row that the leader's job left (`advance_check_job.py`) and examines nothing by itself, so that no
page and no advance waits for the directory or the journal.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout, exposure_at, position_after
from control_plane.core.value_types import CLOCK_SKEW
from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import current
from control_plane.rollout_names import flag_of
from credits_engine.engines.advance_check import gate_result
from credits_engine.store import check_results as store
from flags.evaluation.contexts import ATTRIBUTES, USER_ID
from flags.evaluation.monotonicity import is_superset_of

GATE = "migration"
FRESH = timedelta(hours=3)
"""The leader examines every hour: a result that is older than this says that it doesn't any more."""


def gate(session: Session, rollout: Rollout, now: datetime) -> GateResult:
    """Close while the next step would have v2 refuse too many, or the comparison contradicts itself."""
    if rollout.plan.is_of_one_environment and flag_of(rollout.flag) == FLAG:
        reason = f"It is examined for production alone whom v2 would refuse, not for {rollout.plan.environment}."
        return GateResult(GATE, GateStatus.UNKNOWN, reason)
    here, there = production_exposures(rollout)
    if rollout.flag != FLAG:
        return GateResult(GATE, GateStatus.OPEN, "This flag decides about nobody's credits.")
    if there is None or is_superset_of(here, there):
        return GateResult(GATE, GateStatus.OPEN, "The next step lets nobody in whose credits would be judged anew.")
    found = store.latest_advance_check(session, rollout.flag, rollout.version)
    if found is None:
        return GateResult(GATE, GateStatus.UNKNOWN, _not_examined(rollout))
    percent_max, beyond = current().advance_max_refused_percent, _widens_beyond_allowlist(here, there)
    evidence = found.documented | {"refused_percent_max": percent_max}
    if not -CLOCK_SKEW <= now - found.at <= FRESH:
        return GateResult(GATE, GateStatus.UNKNOWN, _too_old(found.at), evidence)
    status, reason = gate_result(found, percent_max=percent_max, beyond_allowlist=beyond)
    examined = f"Examined on {found.at:%Y-%m-%d %H:%M} UTC."
    return GateResult(GATE, status, " ".join([reason, *_not_counted(there), examined]), evidence)


def production_exposures(rollout: Rollout) -> tuple[Exposure, Exposure | None]:
    """Return the exposures of this step and the next in production, rolled back or not; None behind the last step."""
    here, there = (
        None if position is None else exposure_at(rollout.plan, position, PRODUCTION)
        for position in (rollout.position, position_after(rollout.plan, rollout.position))
    )
    assert here is not None
    return here, there


def _not_counted(there: Exposure) -> list[str]:
    """Say of whom the result knows nothing: customers by attributes that only callers tell."""
    named = {constraint.context_name for share in there.shares for constraint in share.constraints}
    unknown = sorted(named - {USER_ID, *ATTRIBUTES})
    if not unknown:
        return []
    return [f"The directory does not hold {', '.join(unknown)}, so it could not be counted who has that."]


def _not_examined(rollout: Rollout) -> str:
    return (
        f"Nobody has looked yet whom v2 would refuse next, at version {rollout.version} of the rollout. The leader "
        "does within seconds of each change; a directory of 50,000 users takes it a minute."
    )


def _too_old(at: datetime) -> str:
    return (
        f"Nobody has looked yet whom v2 would refuse now: the last result is of {at:%Y-%m-%d %H:%M} UTC, and one "
        f"counts for {FRESH // timedelta(hours=1)} hours. The leader looks every hour; see that a server runs."
    )


def _widens_beyond_allowlist(here: Exposure, there: Exposure) -> bool:
    return replace(here, allowlist=True, environment=True) != replace(there, allowlist=True, environment=True)
