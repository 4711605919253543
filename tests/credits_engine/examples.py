"""Strategies and figures that the tests of both engines share."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from credits_engine.engines.amounts import NOTHING, Amounts, Limits
from credits_engine.engines.decisions import Book, Request
from credits_engine.engines.periods import billing_period, calendar_month

NOW = datetime(2027, 3, 14, 15, 9, 26, tzinfo=UTC)
MONTH = calendar_month(NOW)
CYCLE = billing_period(datetime(2026, 1, 20, tzinfo=UTC), NOW)

limits = st.builds(Limits, st.none() | st.integers(0, 40), st.none() | st.integers(0, 40))
used = st.builds(Amounts, st.integers(0, 60), st.integers(0, 60))
asked = st.builds(Amounts, st.integers(0, 30), st.integers(0, 30)).filter(lambda a: a["analysis"] + a["roast"] > 0)
requests = st.builds(Request, st.just("u1"), asked)
blocked = st.none() | st.just("Account u1 is frozen.")
bought = st.just(NOTHING) | st.builds(Amounts, st.integers(0, 30), st.integers(0, 30))
books = st.builds(Book, st.sampled_from([MONTH, CYCLE]), used, limits, blocked, bought)


FREE = Limits(100, 10)


def book(used: Amounts = NOTHING, limits: Limits = FREE, blocked: str | None = None) -> Book:
    return Book(MONTH, used, limits, blocked)
