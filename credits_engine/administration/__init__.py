"""Changes of accounts by administrators, and their reports."""
