"""What PgBouncer costs beside a direct connection: `python -m tests.bench.pooled` loads both by turns."""

import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from control_plane.platform.db.database import LIMITS
from tests import postgres
from tests.bench.credit_goals import installation_on
from tests.bench.load import Load, Request, load
from tests.faults.test_credits_killed import CLIENTS, prepared
from tests.pgbouncer import pgbouncer
from tests.serving import SECRET_KEY, serving

ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 16


def main() -> None:
    """Print the medians of both, and the median of their ratios, round by round."""
    with postgres.running() as server, postgres.database(server) as url, ExitStack() as stack:
        with installation_on(url) as installation:
            token = prepared(installation.app)
        with psycopg.connect(url, autocommit=True) as owner:
            for name, value in LIMITS.items():
                statement = sql.SQL("ALTER DATABASE {} SET {} = {}")
                owner.execute(
                    statement.format(sql.Identifier(str(make_url(url).database)), sql.Identifier(name), value)
                )
        pooled = stack.enter_context(pgbouncer(url, pool_mode="transaction", max_client_conn="200"))
        places = {
            "direct": {"DATABASE_URL": url},
            "pooled": {"DATABASE_URL": pooled, "DATABASE_DIRECT_URL": url},
        }
        served = {}
        for name, addresses in places.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            served[name] = stack.enter_context(serving(folder, SECRET_KEY=SECRET_KEY, **addresses)).url
        seen: dict[str, list[Load]] = {name: [] for name in places}
        for number in range(ROUNDS):
            for name in places:
                seen[name].append(
                    load(served[name], _requests(token, f"{name}-{number}"), connections=CONNECTIONS, seconds=SECONDS)
                )
        for name, loads in seen.items():
            assert all(each.statuses == {200} for each in loads), [each.statuses for each in loads]
            rate = statistics.median(each.per_second for each in loads)
            middle, late = (statistics.median(each.percentile(part) for each in loads) for part in (0.5, 0.99))
            print(f"{name}: {rate:,.0f} consumptions/s, p50 {middle:.1f} ms, p99 {late:.1f} ms")  # noqa: T201
        ratios = [one.per_second / other.per_second for one, other in zip(seen["pooled"], seen["direct"], strict=True)]
        print(f"pooled/direct: {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")  # noqa: T201


def _requests(token: str, name: str) -> list[Request]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return [
        Request(
            "POST",
            "/api/credits/consume",
            headers | {"Idempotency-Key": f"{name}-{number}"},
            b'{"userId": "u%d", "creditType": "analysis", "amount": 1}' % (number % CLIENTS),
        )
        for number in range(20_000)
    ]


if __name__ == "__main__":
    main()
