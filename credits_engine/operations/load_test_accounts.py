"""Accounts of the load test: their operations are booked like any other, and are no evidence about the release."""

PREFIX = "load-test-"


def is_load_test_account(user_id: str) -> bool:
    """Return whether the guard leaves out what is done for this account."""
    return user_id.startswith(PREFIX)
