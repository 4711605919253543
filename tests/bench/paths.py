"""How many product files an advance, a consumption and a breach go through, up to the SDK that learns of it.

Run `python -m tests.bench.paths`, with `--files` for their names. A file counts when one of its functions is entered
while the path is walked in this process, on SQLite with nothing in the background; importing it does not count.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from flask import Flask

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.app import PACKAGES
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.settings import Settings
from credits_engine.migration import advance_check_job
from flags.store import UserAttributes, upsert_users
from tests.applications import application
from tests.installation import Installation

ROOT = Path(__file__).parents[2]
PRODUCT = tuple(str(ROOT / package) for package in ("control_plane", *PACKAGES))
GOALS = {"advance": 40, "consumption": 30, "breach to SDK": 40}
PLANNED_AT = datetime.now(UTC) - timedelta(days=8)


def main() -> int:
    """Print the files of each path; 1 where one of them goes through more than its goal."""
    with tempfile.TemporaryDirectory() as folder, application(_settings(Path(folder))) as app:
        found = dict(_paths(app))
    for name, files in found.items():
        sys.stdout.write(f"{name:14} {len(files):3} files, goal {GOALS[name]}\n")
        if "--files" in sys.argv:
            sys.stdout.writelines(f"    {file}\n" for file in sorted(files))
    return int(any(len(files) > GOALS[name] for name, files in found.items()))


def _settings(folder: Path) -> Settings:
    return Settings(
        database_url=f"sqlite:///{folder / 'rollout.db'}",
        instance_dir=folder,
        secret_key="a key that guards nothing",
        alerts_file=ROOT / "alerts.yaml",
        background=False,
    )


def _paths(app: Flask) -> Iterator[tuple[str, set[str]]]:
    """Walk each path once, after everything that only a first request does."""
    installation, client = Installation(app), app.test_client()
    with app.app_context(), transaction() as session:
        users = [UserAttributes("ada", "free", PLANNED_AT), UserAttributes("bob", "free", PLANNED_AT)]
        upsert_users(session, users, now=PLANNED_AT)
        rollouts.plan(session, FLAG, default_plan(PLANNED_AT), ChangeContext(PLANNED_AT, "bench", "The guide."))
    admin, service, sdk = ({"Authorization": installation.token(kind)} for kind in ("admin", "service", "client"))

    def consume(user: str) -> None:
        body = {"userId": user, "creditType": "analysis", "amount": 1}
        answer = client.post("/api/credits/consume", json=body, headers=service | {"Idempotency-Key": user})
        assert answer.status_code == 200, answer.text

    def poll() -> str:
        return client.get("/api/client/features", headers=sdk).get_data(as_text=True)

    _tick(app, 0)
    consume("ada")
    poll()
    client.get(f"/api/rollouts/{FLAG}", headers=admin)

    with _entered() as files:
        consume("bob")
    yield "consumption", files
    with _entered() as files:
        body = {"expectedVersion": 1, "reason": "Reviewed."}
        answer = client.post(f"/api/rollouts/{FLAG}/advance", json=body, headers=admin)
    assert answer.status_code == 200, answer.text
    yield "advance", files
    installation.move(3)
    installation.publish()
    _tick(app, 1)
    before = poll()
    with app.app_context():
        signals.record(*[Sample("credit_consumption_failure", bad=True, engine="v2")] * 200)
    with _entered() as files:
        _tick(app, 2, check=False)
        installation.publish()
        after = poll()
    assert before != after
    with app.app_context(), read_only() as session:
        assert rollouts.find(session, FLAG).state is RolloutState.ROLLED_BACK
    yield "breach to SDK", files


def _tick(app: Flask, seconds: int, *, check: bool = True) -> None:
    """Run one tick of the guard, and before it what the leader examines for the gates."""
    now = datetime.now(UTC) + timedelta(seconds=seconds)
    with app.app_context():
        if check:
            advance_check_job.refresh(now)
        run_guard(now, 1)


@contextmanager
def _entered() -> Iterator[set[str]]:
    """Collect the product's files whose functions this thread enters while the block lasts."""
    files: set[str] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PRODUCT):
            files.add(str(Path(name).relative_to(ROOT)))

    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(None)


if __name__ == "__main__":
    sys.exit(main())
