"""`python -m tests.bench.growth`: how the time of a request grows with journal, users and flags.

Requests go through the whole application in this process, without a network. `--rows 10000000` goes further.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import jwt
import psycopg

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import Settings
from flags.administration.imports import ImportOptions, import_definitions
from tests import postgres
from tests.applications import application
from tests.bench.credit_dataset import Dataset, fill
from tests.bench.credit_goals import SECRET
from tests.bench.flags import SPEC, feature
from tests.bench.results import Figure, record
from tests.installation import Installation

RUNS, REQUESTS, WARM = 5, 100, 20
FLAGS = (10, 100, 1_000, 4_000)
Ask = Callable[[], int]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="the longest journal")
    chosen = parser.parse_args(arguments)
    figures = []
    for figure in chain(with_flags(), with_journals(chosen.rows)):
        print(f"{figure.name:24} {figure.size:>10,}  {figure.median:.2f} {figure.unit}  {figure.runs}", flush=True)  # noqa: T201
        figures.append(figure)
    print(record("growth", figures))  # noqa: T201
    return 0


def with_journals(rows_max: int) -> Iterator[Figure]:
    """Measure a consumption, a status and a page of history beside journals of ever more rows, ten for each user."""
    rows = 1_000
    with postgres.running() as server:
        while rows <= rows_max:
            with postgres.database(server) as url, tempfile.TemporaryDirectory() as folder:
                yield from _credits(url, Path(folder), Dataset(max(rows // 10, 100), rows))
            rows *= 10


def _credits(url: str, folder: Path, dataset: Dataset) -> Iterator[Figure]:
    settings = Settings(database_url=url, instance_dir=folder, secret_key="-", background=False)
    with application(replace(settings, user_jwt_secret=SECRET)) as app:
        installation = Installation(app)
        fill(installation, dataset)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        client, token, keys = app.test_client(), installation.token("service"), count()
        users = [f"user-{number}" for number in dataset.active]

        def consume() -> int:
            number = next(keys)
            body = {"userId": users[number % len(users)], "creditType": "analysis", "amount": 1}
            headers = {"Authorization": token, "Idempotency-Key": f"growth-{number}"}
            return client.post("/api/credits/consume", json=body, headers=headers).status_code

        def read(what: str) -> int:
            user = users[next(keys) % len(users)]
            signed = jwt.encode({"sub": user, "exp": 2**40}, SECRET, "HS256")
            return client.get(f"/api/user/credits/{what}", headers={"Authorization": f"Bearer {signed}"}).status_code

        asked: dict[str, Ask] = {
            "consumption": consume,
            "status": lambda: read("status"),
            "history": lambda: read("history"),
        }
        for name, ask in asked.items():
            yield Figure(f"credits: {name}", "ms", measured(ask), dataset.rows)


def with_flags() -> Iterator[Figure]:
    """Measure all flags for an SDK, and those of one browser, in environments of ever more flags."""
    for number in FLAGS:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            settings = Settings(database_url=f"sqlite:///{folder}/rollout.db", instance_dir=folder, background=False)
            with application(settings) as app:
                installation = Installation(app)
                features = {"features": [feature(each) for each in range(number)]}
                with app.app_context(), transaction() as session:
                    change = ChangeContext(datetime.now(UTC), "bench", "-")
                    import_definitions(session, "production", features, change, ImportOptions(replace=True))
                installation.publish()
                client, sdk, browser = app.test_client(), installation.token("client"), installation.token("frontend")
                keys = count()

                def features_of_sdk() -> int:
                    headers = {"Authorization": sdk, **SPEC}  # noqa: B023 - asked within the round
                    return client.get("/api/client/features", headers=headers).status_code  # noqa: B023

                def toggles_of_browser() -> int:
                    address = f"/api/frontend?userId=user-{next(keys)}&properties[plan]=pro"  # noqa: B023
                    return client.get(address, headers={"Authorization": browser}).status_code  # noqa: B023

                yield Figure("flags: all, for an SDK", "ms", measured(features_of_sdk), number)
                yield Figure("flags: one browser's", "ms", measured(toggles_of_browser), number)


def measured(ask: Ask) -> tuple[float, ...]:
    """Milliseconds of a request, as the median of each run."""
    for _ in range(WARM):
        assert ask() == 200
    runs = []
    for _ in range(RUNS):
        took = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            assert ask() == 200
            took.append((time.perf_counter() - began) * 1000)
        runs.append(round(statistics.median(took), 3))
    return tuple(runs)


if __name__ == "__main__":
    sys.exit(main())
