"""What is added to a signal's name where something else than its outcomes is counted. Pure."""

EXCESS = "@excess"
"""Failures of single accounts beyond what counts against everybody."""
ACCOUNTS = "@accounts"
"""Accounts by the hour, and those of them that had a bad outcome."""
SHARES = "@shares"
"""How often accounts counted by the hour, over many hours."""
