"""Cells of CSV files in which no spreadsheet finds a formula."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def plain(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value
