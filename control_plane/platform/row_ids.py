"""The numbers that rows have."""

ROW_ID_MAX = 2**63 - 1
"""The highest that a row of either database may have."""
