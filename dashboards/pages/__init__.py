"""The HTML screens: GET renders a read model, POST calls one use case and answers 303."""

from dashboards.pages import (
    aftermath,
    alerts,
    audit,
    credit_books,
    explain,
    people,
    rollout,
    rollouts,
    session,
    system,
    users,
)
from dashboards.pages.blueprint import init_app

__all__ = [
    "aftermath",
    "alerts",
    "audit",
    "credit_books",
    "explain",
    "init_app",
    "people",
    "rollout",
    "rollouts",
    "session",
    "system",
    "users",
]
