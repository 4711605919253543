"""The HTML screens: GET renders a read model, POST calls one use case and answers 303."""

from dashboards.pages import alerts, audit, explain, rollout, rollouts, session
from dashboards.pages.blueprint import init_app

__all__ = ["alerts", "audit", "explain", "init_app", "rollout", "rollouts", "session"]
