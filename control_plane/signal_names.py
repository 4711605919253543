"""What is added to a signal's name where something else than its outcomes is counted. Pure."""

EXCESS = "@excess"
"""Failures of single accounts beyond what counts against everybody."""
ACCOUNTS = "@accounts"
"""Accounts by the hour, and those of them that had a bad outcome."""
SHARES = "@shares"
"""How often accounts counted by the hour, over many hours."""
ENVIRONMENT = "@environment="
"""Before the name of the one environment whose outcomes are counted, of which a rollout of its own is judged."""


def in_environment(signal: str, environment: str) -> str:
    """Return the name under which the outcomes of one environment are counted apart from those of all others."""
    return f"{signal}{ENVIRONMENT}{environment}"


def base_signal(signal: str) -> str:
    """Return the name under which the same outcomes are counted wherever they happen."""
    return signal.partition(ENVIRONMENT)[0]
