"""Alertmanager's payload, version 4: unknown fields are ignored, newer fields are not required."""

from datetime import datetime
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from control_plane.platform.http.instants import Instant

VERSION = "4"
ALERTS_MAX = 10_000


def _named(labels: dict[str, str]) -> dict[str, str]:
    if not labels.get("alertname"):
        raise ValueError("an alert is told by its label alertname")
    return labels


class ReceivedFields(BaseModel):
    """Base of both levels: unknown fields are no error."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Alert(ReceivedFields):
    """One alert of a notification, with a state of its own."""

    status: Literal["firing", "resolved"]
    labels: Annotated[dict[str, str], AfterValidator(_named)]
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: Instant  # noqa: N815 - the JSON name
    generatorURL: str = ""  # noqa: N815 - the JSON name
    fingerprint: str = Field(default="", max_length=200)

    @property
    def firing(self) -> bool:
        return self.status == "firing"

    @property
    def name(self) -> str:
        """The alert of ours that this is: the label `rule` of the rules we export, or the alert's own name."""
        return self.labels.get("rule") or self.labels["alertname"]

    @property
    def flag(self) -> str:
        return self.labels.get("flag", "")

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "")

    @property
    def summary(self) -> str:
        """Return the alert's own summary, if it has one."""
        return self.annotations.get("summary") or self.annotations.get("description") or ""

    @property
    def key(self) -> tuple[str, datetime]:
        """Return a key that is the same for every delivery of one firing."""
        named = self.fingerprint or sha256(repr(sorted(self.labels.items())).encode()).hexdigest()[:16]
        return named, self.startsAt


class Notification(ReceivedFields):
    """One post: a group of alerts. The group's own status says nothing about a single alert."""

    version: Literal["4"]
    alerts: list[Alert] = Field(max_length=ALERTS_MAX)
    status: Literal["firing", "resolved"]
    groupKey: str = ""  # noqa: N815 - the JSON name
    truncatedAlerts: int = Field(default=0, ge=0)  # noqa: N815 - the JSON name
    groupLabels: dict[str, str] = Field(default_factory=dict)  # noqa: N815 - the JSON name
    commonLabels: dict[str, str] = Field(default_factory=dict)  # noqa: N815 - the JSON name

    @property
    def incomplete(self) -> bool:
        """Return whether firing alerts were left out, so that their content is unknown."""
        return self.truncatedAlerts > 0 and self.status == "firing"

    @property
    def flags(self) -> frozenset[str]:
        """Every flag this notification names."""
        named = {alert.flag for alert in self.alerts} | {
            labels.get("flag", "") for labels in (self.groupLabels, self.commonLabels)
        }
        return frozenset(named - {""})
