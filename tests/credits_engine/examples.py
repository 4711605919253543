"""Strategies and figures that the tests of both engines share."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from credits_engine.engines.amounts import NOTHING, Amounts, Limits
from credits_engine.engines.decisions import Book, Request
from credits_engine.engines.periods import billing_period, calendar_month
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.consumption import EnginePolicy, Engines, consume

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


def consume_by(engines: Engines) -> Callable[..., Receipt]:
    """Return `consume` by these engines, whatever the process's policy says."""

    def consume_here(*arguments: Any, policy: EnginePolicy, **options: Any) -> Receipt:
        return consume(*arguments, policy=replace(policy, engines=engines), **options)

    return consume_here
