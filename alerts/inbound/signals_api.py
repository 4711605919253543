"""Signals reported by services: counts of good and bad outcomes, each batch counted once."""

from datetime import datetime, timedelta

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.analysis.metrics import METRICS
from alerts.inbound import store
from control_plane.experiments.registry import migrations
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_token
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs
from control_plane.signal_counts import Counts

OURS = frozenset(metric.signal for metric in METRICS.values())
OUR_PREFIX = "credit_"
NAME = "[a-z][a-z0-9_]{0,63}"
SIGNALS_MAX = 1_000
OUTCOMES_MAX = 10_000_000
REMEMBERED = timedelta(days=1)
FORGET_SECONDS = 600.0

bp = Blueprint("signals", __name__)


class Signal(BaseModel):
    """The counts of one signal since the batch before."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: str = Field(pattern=f"^{NAME}$")
    bad: int = Field(ge=0)
    total: int = Field(ge=0, le=OUTCOMES_MAX)

    @model_validator(mode="after")
    def _some_are_bad_at_most_all(self) -> "Signal":
        if self.bad > self.total:
            raise ValueError("bad can't be more than total, which counts good and bad outcomes")
        return self


class Batch(BaseModel):
    """Signals under a name of the sender's choice: sent again, it counts nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    batchId: str = Field(min_length=8, max_length=100)  # noqa: N815 - the JSON name
    signals: list[Signal] = Field(min_length=1, max_length=SIGNALS_MAX)


@bp.post("/api/signals")
@require_token("service", "admin")
def post() -> ResponseReturnValue:
    """Count a batch. An alert judges a signal by naming it: `metric: roast_quality`."""
    batch = Batch.model_validate(request.get_json())
    reserved = sorted({signal.name for signal in batch.signals if _is_ours(signal.name)})
    if reserved:
        sentence = f"{', '.join(reserved)} is measured by this program itself; choose another name."
        raise Problem(422, "RESERVED_SIGNAL", sentence)
    now = clock.now()
    with transaction() as session:
        fresh = store.remember_batch(session, actor(), batch.batchId, now=now)
        if fresh:
            # One order for everybody: two batches at once must not wait for each other in a circle.
            for signal in sorted(batch.signals, key=lambda signal: signal.name):
                signals.add(session, SeriesKey(signal.name), Counts(signal.bad, signal.total), now)
    return jsonify(counted=fresh), 202


def init_app(app: Flask) -> None:
    """Mount the route, keep what this program measures to itself, and forget old batches."""
    app.register_blueprint(bp)
    signals.reserve(_is_ours)
    jobs.run_on_leader(app, FORGET_SECONDS, "forget-signal-batches", _forget)


def _is_ours(name: str) -> bool:
    """Return whether only this program may count the signal."""
    if name in OURS or name.startswith(OUR_PREFIX):
        return True
    return any(name in migration.signals.all for migration in migrations())


def _forget(now: datetime) -> None:
    with transaction() as session:
        store.forget_batches(session, before=now - REMEMBERED)
