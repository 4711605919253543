"""The guard's part in checklists: alerts that watch, rates below their thresholds, drills, and people who are told."""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from alerts import store
from alerts.analysis.environments import alert_name, applicable
from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions import rules_file
from alerts.drill import store as drills
from alerts.notifications import targets
from control_plane.core.checklist import CheckResult, failed, passed, unknown
from control_plane.core.phases import Rollout

ABOVE = (Status.BLIND, Status.HOLD, Status.ROLLBACK)
"""A window that is over its threshold by chance keeps no item from being ticked; evidence does."""


def alert_check(_session: Session, rollout: Rollout, argument: str, _now: datetime) -> CheckResult:
    """Check that each alert in `argument`, separated by commas, watches this flag."""
    known = {rule.name for rule in applicable(rules_file.current().rules, rollout.flag)}
    missing = [name for name in argument.split(",") if alert_name(name, rollout.flag) not in known]
    if missing:
        return failed(f"alerts.yaml has no {' and no '.join(missing)} for {rollout.flag}.")
    return passed(f"Watched by {argument.replace(',', ' and ')}.")


def below_check(session: Session, rollout: Rollout, argument: str, _now: datetime) -> CheckResult:
    """Check that the alerts in `argument`, or all that are judged, are below their thresholds in this attempt."""
    found = {each.alert: each for each in store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)}
    named = [alert_name(name, rollout.flag) for name in argument.split(",")] if argument else []
    wanted = named or [name for name, each in found.items() if _counts(each)]
    if not wanted:
        return unknown("The guard has not judged this attempt yet.")
    above = [found[name] for name in wanted if name in found and found[name].status in ABOVE]
    if above:
        return failed(" ".join(f"{each.alert}: {each.reason}" for each in above))
    waiting = [name for name in wanted if name not in found or found[name].status is Status.INSUFFICIENT]
    if waiting:
        return unknown(f"Too little was counted to judge {' and '.join(waiting)}.")
    if len(named) > 1:
        return passed(f"{' and '.join(named)} are below their thresholds.")
    return passed(f"{named[0] if named else 'Every rate'} is below its threshold.")


def drill_check(session: Session, _rollout: Rollout, argument: str, now: datetime) -> CheckResult:
    """Check that the last drill of the guard passed, at most `argument` days ago."""
    last, days = next(iter(drills.latest(session, limit=1)), None), int(argument or 30)
    if last is None or now - last.at > timedelta(days=days):
        return unknown(f"No drill of the guard in {days} days; `rollout guard drill` runs one.")
    if not last.passed:
        return failed(f"The drill of {last.at:%Y-%m-%d %H:%M} UTC did not pass; `rollout guard drills` has more.")
    return passed(f"A drill of the guard passed on {last.at:%Y-%m-%d}.")


def target_check(_session: Session, rollout: Rollout, _argument: str, _now: datetime) -> CheckResult:
    """Check that NOTIFY_URLS names somebody; whether Alertmanager tells people can't be seen from here."""
    if mistakes := targets.plan_reasons(rollout.plan):
        return failed(" ".join(reason.sentence for reason in mistakes))
    found = [label for _, label in targets.targets(rollout.plan.notify)]
    if not found:
        return unknown("NOTIFY_URLS names nobody; sign this if somebody is told in another way.")
    return passed(f"Notifications go to {', '.join(found)}.")


def _counts(verdict: Verdict) -> bool:
    """Return whether an alert says anything: one about what never happens here keeps nothing from being ticked."""
    return verdict.status is not Status.INSUFFICIENT
