"""Which of all counts an alert reads, and what they amount to for it. Pure."""

from collections.abc import Iterable

from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Rule
from control_plane.signal_counts import Counts


def is_read_by(rule: Rule, signal: str, engine: str) -> bool:
    """Return whether `rule` reads this count. What the sides of another flag served is another flag's."""
    if signal != rule.signal:
        return False
    flag, is_arm, _ = engine.rpartition(":")
    return engine == rule.metric.engine if rule.metric.engine else not is_arm or flag == rule.flag


def sum_counts(rule: Rule, increments: Iterable[tuple[tuple[str, str, str], Counts]]) -> Counts:
    """Sum the increments, as ((signal, engine, role), count), that `rule` reads; both roles of an engine count."""
    bad = total = 0
    failed_control_only = rule.migration.signals.failed_control_only
    for (signal, engine, _role), count in increments:
        match rule.compare:
            case Compare.DISCORDANT if signal == rule.metric.signal:
                bad += count.bad
                total += count.bad
            case Compare.DISCORDANT if signal == failed_control_only:
                total += count.bad
            case Compare.ABSOLUTE | Compare.PAIRED | Compare.DRIFT if is_read_by(rule, signal, engine):
                is_controls = rule.metric.control_apart and engine == rule.migration.control
                bad += 0 if is_controls else count.bad
                # An account is counted under each name that its outcomes have, and is one account.
                total += 0 if is_controls and rule.by_account else count.total
    return Counts(bad, total)
