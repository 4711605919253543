"""The tables of billing as Core sees them."""

from typing import cast

from sqlalchemy import Table, literal_column

from credits_engine.billing.models import (
    BillingAttempt,
    BillingCustomer,
    BillingEvent,
    BillingFact,
    BillingOpening,
)
from credits_engine.store.tables import BILLING

EVENTS = cast(Table, BillingEvent.__table__)
ATTEMPTS = cast(Table, BillingAttempt.__table__)
FACTS = cast(Table, BillingFact.__table__)
CUSTOMERS = cast(Table, BillingCustomer.__table__)
ACCOUNTS = BILLING
OPENINGS = cast(Table, BillingOpening.__table__)

# Written into the SQL as constants: with parameters in their place no database would see that its partial index fits.
IS_OPEN = EVENTS.c.state.in_([literal_column("'new'"), literal_column("'claimed'")])
IS_STUCK = EVENTS.c.state.in_([literal_column("'parked'"), literal_column("'dead'")])
