"""Which customer of Stripe's pays for a user."""

from sqlalchemy.orm import Session

from credits_engine.billing.facts import Snapshot
from credits_engine.billing.store import accounts, facts

CUSTOMER = "cus_"
"""With what the ids of Stripe's customers begin; guests have none."""


def paying_customer(session: Session, user_id: str) -> str | None:
    """Return the customer whose subscription decides what a user has, or any of theirs; None where there is none."""
    customers = accounts.customers_of(session, user_id)
    account, stated = accounts.show_account(session, user_id), facts.of_user(session, user_id)
    name = account.subscription_id if account else None
    deciding = (each.customer_id for each in stated if isinstance(each, Snapshot) and each.subscription_id == name)
    return next((each for each in (*deciding, *customers) if each.startswith(CUSTOMER)), None)
