"""The parts of a page that change by themselves: each renders alone, for the page and for the stream alike."""

import hashlib
from collections.abc import Mapping

from flask import render_template
from markupsafe import Markup

from dashboards.view_models.alerts import AlertsScreen
from dashboards.view_models.rollout import RolloutScreen
from dashboards.view_models.rollouts import RolloutsScreen

Fragments = Mapping[str, Markup]
"""Inner HTML by the id of the element that holds it."""

ROLLOUT_PARTS = ("state", "remediation", "timeline", "next", "exposure", "guard", "changes", "bar", "dialogs")


def rollout_fragments(screen: RolloutScreen) -> Fragments:
    """Return the regions of one rollout's page."""
    parts = {part: _rendered(f"rollout/_{part}.html", screen=screen) for part in ROLLOUT_PARTS}
    return parts | {f"alert-{alert.name}": _rendered("rollout/_alert.html", alert=alert) for alert in screen.alerts}


def rollouts_fragments(screen: RolloutsScreen) -> Fragments:
    """Return the regions of the list."""
    parts = {"guard": "rollout/_guard.html", "welcome": "_welcome.html", "lines": "_rows.html"}
    return {part: _rendered(template, screen=screen) for part, template in parts.items()}


def alerts_fragments(screen: AlertsScreen) -> Fragments:
    """Return the regions of the alerts: one per alert and rollout."""
    alerts = {
        f"alert-{rollout.flag}-{alert.name}": _rendered("rollout/_alert.html", alert=alert)
        for rollout, alerts in screen.flags
        for alert in alerts
    }
    parts = {"guard": "rollout/_guard.html", "heard": "_received.html"}
    return {part: _rendered(template, screen=screen) for part, template in parts.items()} | alerts


def etag(html: str) -> str:
    """Return a tag of the HTML: a page that has the fragment already need not take it again."""
    return hashlib.sha256(html.encode()).hexdigest()[:16]


def _rendered(template: str, **context: object) -> Markup:
    return Markup(render_template(template, **context).strip())  # noqa: S704 - our own templates escape what they show
