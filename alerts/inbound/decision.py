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


def reply(alert: Alert, standing: AlertContext, *, also_known: Collection[str] = ()) -> Reply:
    """Decide what to do about `alert`; `also_known` are names that act though alerts.yaml lacks them."""
    stranger = _stranger(alert, standing, also_known)
    if stranger:
        return Reply(Response.UNKNOWN, stranger)
    settled = _without_effect(alert, standing)
    return Reply(Response.NOTED, settled) if settled else _by_severity(alert, standing)


def _stranger(alert: Alert, standing: AlertContext, also_known: Collection[str]) -> str:
    """Why this alert is none of ours; empty when it is."""
    if not alert.flag:
        return "It names no flag, so it speaks of no rollout."
    if standing.rollout is None:
        return f"There is no rollout of {alert.flag[:100]!r}."
    if standing.rule is None and alert.name not in also_known:
        return f"{alert.name[:100]} is not an alert of {alert.flag} in alerts.yaml."
    return ""


def _without_effect(alert: Alert, standing: AlertContext) -> str:
    """Why this alert of ours asks for nothing; empty when it does."""
    if not alert.firing:
        return "It is resolved, which ends nothing by itself."
    if standing.acted_upon:
        return "It has been acted upon already."
    if standing.attempt_began is not None and alert.startsAt < standing.attempt_began:
        return f"It fires since before this attempt began at {standing.attempt_began:%Y-%m-%d %H:%M} UTC."
    return ""


def _by_severity(alert: Alert, standing: AlertContext) -> Reply:
    severity = alert.severity or (standing.rule.severity if standing.rule else "")
    limit = standing.rule.action if standing.rule else Action.ROLLBACK
    match severity:
        case _ if standing.overridden:
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
