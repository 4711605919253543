"""The response to one alert of Alertmanager's. Such evidence is outside our accounting of alpha, so severity decides.

Pure: no framework, no clock.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alerts.analysis.rules import Action, Rule, Severity
from alerts.inbound.payload import Alert
from control_plane.core.phases import Rollout


class Response(StrEnum):
    """The response to an alert. `unknown` alerts are not ours; `noted` ones are, and change nothing."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    NOTED = "noted"
    UNKNOWN = "unknown"


ACTING = (Response.ROLLBACK, Response.HOLD)


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to one alert and why, as a sentence."""

    response: Response
    reason: str


@dataclass(frozen=True, slots=True)
class AlertContext:
    """The context of an alert: the rollout it names, the start of that attempt, and earlier decisions."""

    rollout: Rollout | None
    attempt_began: datetime | None
    rule: Rule | None
    acted_upon: bool = False
    """This firing has led to something in this attempt already."""
    overridden: bool = False
    """An owner lets this alert notify only, for the time being."""


def reply(alert: Alert, context: AlertContext, *, also_known: Collection[str] = ()) -> Reply:
    """Decide what to do about `alert`; `also_known` are names that act though alerts.yaml lacks them."""
    unknown = _unknown_reason(alert, context, also_known)
    if unknown:
        return Reply(Response.UNKNOWN, unknown)
    without_effect = _without_effect(alert, context)
    return Reply(Response.NOTED, without_effect) if without_effect else _by_severity(alert, context)


def _unknown_reason(alert: Alert, context: AlertContext, also_known: Collection[str]) -> str:
    """Return why this alert is none of ours; empty when it is."""
    if not alert.flag:
        return "It names no flag, so it speaks of no rollout."
    if context.rollout is None:
        return f"There is no rollout of {alert.flag[:100]!r}."
    if context.rule is None and alert.name not in also_known:
        return f"{alert.name[:100]} is not an alert of {alert.flag} in alerts.yaml."
    return ""


def _without_effect(alert: Alert, context: AlertContext) -> str:
    """Return why this alert of ours asks for nothing; empty when it does."""
    if not alert.firing:
        return "It is resolved, which ends nothing by itself."
    if context.acted_upon:
        return "It has been acted upon already."
    if context.attempt_began is not None and alert.startsAt < context.attempt_began:
        return f"It fires since before this attempt began at {context.attempt_began:%Y-%m-%d %H:%M} UTC."
    return ""


def _by_severity(alert: Alert, context: AlertContext) -> Reply:
    severity = alert.severity or (context.rule.severity if context.rule else "")
    limit = context.rule.action if context.rule else Action.ROLLBACK
    match severity:
        case _ if context.overridden:
            return Reply(Response.NOTED, "An owner has overridden this alert for the time being.")
        case Severity.CRITICAL | Severity.WARNING if limit is Action.NOTIFY:
            return Reply(Response.NOTED, "alerts.yaml lets this alert notify only.")
        case Severity.CRITICAL if limit is Action.ROLLBACK:
            return Reply(Response.ROLLBACK, _reason_text(alert))
        case Severity.CRITICAL | Severity.WARNING:
            return Reply(Response.HOLD, _reason_text(alert))
        case _:
            return Reply(Response.NOTED, f"Its severity is {severity[:40]!r}; only critical and warning act.")


def _reason_text(alert: Alert) -> str:
    said = f": {alert.summary[:500]}" if alert.summary else "."
    return f"Alertmanager reports {alert.name} since {alert.startsAt:%Y-%m-%d %H:%M:%S %Z}{said}"
