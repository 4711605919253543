"""What the guard forgets as an attempt begins anew; its evidence is the attempt's anyway."""

from sqlalchemy.orm import Session

from alerts.analysis.environments import applicable
from alerts.definitions import rules_file
from control_plane.core.transitions import Action
from control_plane.experiments.registry import migration_of
from control_plane.platform.observability import account_failures
from control_plane.rollouts import RolloutChanged


def on_change(session: Session, changed: RolloutChanged) -> None:
    """Let no account's share of the last attempt's failures count in this one."""
    is_stepped_back = changed.action is Action.STEP_BACK and changed.after.stepped_back_at == changed.context.now
    if changed.action is Action.REARM or is_stepped_back:
        flag = changed.after.flag
        migration = migration_of(flag)
        # Alerts may guard a flag that has no migration by what is counted for others.
        by_rules = {rule.metric.signal for rule in applicable(rules_file.current().rules, flag)}
        account_failures.begin_attempt(session, by_rules.union(migration.signals.all if migration else ()))
