"""Made-up usage that is shaped like the real thing: few users do much, many do little, newcomers every day."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from credits_engine.engines.amounts import KINDS, Amounts
from dashboards.simulation.usage_log import UsageRow

PLANS = ("free", "starter", "pro", "plus")
PLAN_WEIGHTS = (50, 25, 20, 5)
CREDITS_MAX = 25
RARE_EVERY = 7
NEWCOMER_SHARE = 0.2


def generate_traffic(*, seed: int, begins_at: datetime, between: timedelta, operations: int) -> Iterator[UsageRow]:
    """Generate `operations` rows, `between` apart on average; the same seed gives the same rows."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose, protects nothing
    users: list[tuple[str, datetime, str]] = []
    now = begins_at
    for number in range(1, operations + 1):
        if not users or chance.random() < NEWCOMER_SHARE:
            users.append((f"u{len(users) + 1}", now, chance.choices(PLANS, PLAN_WEIGHTS)[0]))
        # Squared, so that the first users are asked for far more often than the latest.
        user_id, signed_up_at, plan = users[int(len(users) * chance.random() ** 2)]
        amount = min(CREDITS_MAX, 1 + int(chance.expovariate(0.3)))
        often, *rarely = KINDS
        rare = rarely[number // RARE_EVERY % len(rarely)]
        amounts = Amounts(**{rare: 1}) if number % RARE_EVERY == 0 else Amounts(**{often: amount})
        yield UsageRow(number + 1, f"made-up-{seed}-{number}", now, user_id, signed_up_at, plan, amounts)
        now += timedelta(seconds=chance.expovariate(1 / between.total_seconds()))
