"""OpenAPI models of the alerts' routes."""

from flask import Flask
from pydantic import BaseModel

from alerts.inbound.experiment_report import ExperimentReport
from alerts.inbound.payload import Notification
from alerts.inbound.signals_api import Batch
from alerts.overrides.api import Body
from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation, ResponseModel


class AlertRule(BaseModel):
    """An alert in force, by the names of `alerts.yaml`."""

    name: str
    threshold: str
    window_seconds: float
    severity: str
    action: str
    compare: str
    per: str
    alpha: float | None
    flag: str | None
    budget: int | None


class AlertRules(ResponseModel):
    """The rules in force; `problem` says why the file on disk is not."""

    alerts: list[AlertRule]
    problem: str | None


class AlertVerdict(BaseModel):
    """The guard's last conclusion about one alert, with every figure behind it."""

    alert: str
    status: str
    cause: str
    at: str
    counts: dict[str, object]
    window: dict[str, object]
    window_seconds: float
    threshold: float
    threshold_text: str
    evidence_log10: float
    rollback_log10: float | None
    attribution: str
    breached_since: str | None
    calm_since: str | None
    burst_size: float
    cohort: str
    per: str
    notifies: bool
    rate: float
    reason: str


class AlertVerdicts(ResponseModel):
    """The last verdict on each alert of a flag."""

    flag: str
    attempt: int
    verdicts: list[AlertVerdict]


class AlertOverride(ResponseModel):
    """An alert that notifies only, until then."""

    alert: str
    actor: str
    reason: str
    made_at: str
    expires_at: str


class AlertOverrides(ResponseModel):
    """The overrides in force."""

    overrides: list[AlertOverride]


class AlertReceived(ResponseModel):
    """An alert from Alertmanager and the response to it."""

    alert: str
    flag: str
    severity: str
    status: str
    starts_at: str
    last_seen_at: str
    deliveries: int
    response: str | None
    reason: str | None


class AlertsReceived(ResponseModel):
    """The last alerts from Alertmanager."""

    alerts: list[AlertReceived]


class AlertResponse(ResponseModel):
    """The response to one alert of a notification."""

    alert: str
    flag: str
    response: str
    reason: str


class NotificationResult(ResponseModel):
    """The response to each alert of a notification; all of it is committed."""

    alerts: list[AlertResponse]


class SignalsCounted(ResponseModel):
    """Whether the batch was new."""

    counted: bool


class Experiment(ResponseModel):
    """A migration that a service runs, and the signals that the guard counts of it."""

    flag: str
    control: str
    candidate: str
    signals: list[str]


class Experiments(ResponseModel):
    """The migrations that services report."""

    experiments: list[Experiment]


class NoticesListed(ResponseModel):
    """The newest notices, and how many deliveries stand where."""

    notices: list[dict[str, object]]
    deliveries: dict[str, int]


class AlertOverrideBody(Body):
    """For how many minutes an alert notifies only, and why."""


class AlertmanagerNotification(Notification):
    """Alertmanager's payload, version 4."""


class SignalBatch(Batch):
    """Signals under a name of the sender's choice: sent again, it counts nothing."""


ROUTES = {
    "alerts.index": Documentation(answers={200: AlertRules}),
    "alerts.show": Documentation(answers={200: AlertVerdicts}),
    "alert_overrides.index": Documentation(answers={200: AlertOverrides}),
    "alert_overrides.grant": Documentation(body=AlertOverrideBody, body_is_optional=True, answers={201: AlertOverride}),
    "alert_overrides.end": Documentation(body=AlertOverrideBody, body_is_optional=True, answers={204: None}),
    "alertmanager.received": Documentation(answers={200: AlertsReceived}),
    "alertmanager.post": Documentation(body=AlertmanagerNotification, answers={200: NotificationResult}),
    "signals.post": Documentation(body=SignalBatch, answers={202: SignalsCounted}),
    "experiments.index": Documentation(answers={200: Experiments}),
    "experiments.post": Documentation(body=ExperimentReport, answers={202: SignalsCounted}),
    "notices.index": Documentation(answers={200: NoticesListed}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
