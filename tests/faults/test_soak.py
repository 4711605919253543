"""Consumptions and evaluations at a steady pace for a while: no error, whole books, and memory that stays.

`SOAK_SECONDS` says for how long (3,600 is an hour); the figures are printed.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flask import Flask

from control_plane.experiments.credits import FLAG
from tests.bench.load import Load, Request, load
from tests.faults.ledger import assert_whole
from tests.faults.test_credits_killed import CLIENTS, prepared
from tests.installation import Installation
from tests.serving import Served, serving

SECONDS = float(os.environ.get("SOAK_SECONDS", "120"))
WARM_SECONDS = 30.0
CONSUMPTIONS, EVALUATIONS = 200.0, 1000.0
"""A second, over two processes."""
GROWTH_MAX = 1.05


@pytest.mark.long
@pytest.mark.database("postgresql")
def test_a_steady_load_meets_no_error_and_takes_no_more_memory(app: Flask, database_url: str, tmp_path: Path) -> None:
    installation = Installation(app)
    installation.plan()
    service, sdk = prepared(app), installation.token("frontend")
    with serving(tmp_path, DATABASE_URL=database_url, WORKERS="2") as served:
        both(served, service, sdk, "warm", WARM_SECONDS)
        before = memory(served)
        loads = both(served, service, sdk, "soak", SECONDS)
        after = memory(served)
    for name, found in loads.items():
        print(f"{name}: {found.per_second:,.0f}/s, p99 {found.percentile(0.99):.1f} ms")  # noqa: T201
    print(f"memory: {before / 2**20:.0f} MB before, {after / 2**20:.0f} MB after {SECONDS:.0f} s")  # noqa: T201
    assert {name: found.statuses for name, found in loads.items()} == {key: {200} for key in loads}
    assert after < before * GROWTH_MAX
    assert_whole(app)


def both(served: Served, service: str, sdk: str, name: str, seconds: float) -> dict[str, Load]:
    """Consume and evaluate at once."""
    consumptions, evaluations = consuming(service, name, int(seconds * CONSUMPTIONS * 2)), evaluating(sdk)
    with ThreadPoolExecutor() as pool:
        one = pool.submit(load, served.url, consumptions, seconds=seconds, per_second=CONSUMPTIONS)
        other = pool.submit(load, served.url, evaluations, seconds=seconds, per_second=EVALUATIONS)
        return {"consumptions": one.result(), "evaluations": other.result()}


def consuming(token: str, name: str, number: int) -> list[Request]:
    headers = {"Authorization": token, "Content-Type": "application/json"}
    return [
        Request(
            "POST",
            "/api/credits/consume",
            headers | {"Idempotency-Key": f"{name}-{each}"},
            b'{"userId": "u%d", "creditType": "analysis", "amount": 1}' % (each % CLIENTS),
        )
        for each in range(number)
    ]


def evaluating(token: str) -> list[Request]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    address = f"/ofrep/v1/evaluate/flags/{FLAG}"
    return [
        Request("POST", address, headers, b'{"context": {"targetingKey": "u%d"}}' % (each % CLIENTS))
        for each in range(1000)
    ]


def memory(served: Served) -> int:
    """Bytes of the workers that no file holds, together."""
    found = 0
    for worker in served.workers:
        for line in Path(f"/proc/{worker}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                found += int(line.split()[1]) * 1024
    return found
