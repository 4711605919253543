"""The HTML screens: GET renders a read model, POST calls one use case and answers 303."""

from dashboards.views import (
    account,
    alerts,
    audit,
    billing,
    checklists,
    connections,
    credit_books,
    explain,
    people,
    plans,
    remediation,
    rollout,
    rollouts,
    session,
    system,
    usage,
    users,
)
from dashboards.views.blueprint import init_app

__all__ = [
    "account",
    "alerts",
    "audit",
    "billing",
    "checklists",
    "connections",
    "credit_books",
    "explain",
    "init_app",
    "people",
    "plans",
    "remediation",
    "rollout",
    "rollouts",
    "session",
    "system",
    "usage",
    "users",
]
