"""Work on a schedule, on one leader: every process has a scheduler, only the holder of the lease works."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog
from flask import Flask

from control_plane.platform import clock
from control_plane.platform.db import errors
from control_plane.platform.db.database import current_time, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import signals
from control_plane.platform.problems import is_transient
from control_plane.platform.runtime import leases
from control_plane.platform.runtime.outage_log import OutageLog
from control_plane.platform.runtime.schedule import Schedule, Work

LEADER = "leader"
LEAD = "lead"
LEASE_SECONDS = 5.0
LEAD_SECONDS = 1.0
FLUSH_SECONDS = 0.25
HANGS_SECONDS = 15.0
"""A heartbeat that takes longer than any statement may gets no answer at all, and so no error either."""
UNANSWERED = "it does not answer"
QUICK_SECONDS = 5.0
"""Work that repeats so often is quick, and done together (`schedule`): the scheduler takes longer to wake for it."""
GOLDEN = 0.618
"""Steps of about the golden ratio lie far apart on a circle, however many there are."""

if TYPE_CHECKING:
    from apscheduler.schedulers.background import BackgroundScheduler

log = structlog.get_logger()

Job = Callable[[datetime], object]
"""Called with the present, inside an application context."""
FencedJob = Callable[[datetime, int], object]
"""The same, with the term of the leader, which is higher than that of every leader before."""


class Jobs:
    """The registered work of one application and the scheduler that runs it once started."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._schedule = Schedule()
        self._rare: list[Work] = []
        self._scheduler: BackgroundScheduler | None = None
        self._term: int | None = None
        self._stopped = threading.Event()
        self._flusher = threading.Thread(target=self._flush, name="flush-signals", daemon=True)
        self._phase = 0.0
        self._phases: dict[float, float] = {}
        self._leads_until = 0.0
        self._lead_failure: str | None = None
        self._beating_since: float | None = None
        self._outages: dict[str, OutageLog] = {}

    @property
    def lead_failure(self) -> str | None:
        """Why the last heartbeat, the one write that never rests, failed or hangs; None if the database took it."""
        since = self._beating_since
        is_hanging = since is not None and time.monotonic() - since > HANGS_SECONDS
        return UNANSWERED if is_hanging else self._lead_failure

    @property
    def leading(self) -> bool:
        return self._leading_term() is not None

    def run_on_leader(self, seconds: float, name: str, job: Job) -> None:
        """Run the job each `seconds` while this process leads."""
        self._add(seconds, name, partial(self._run_leading, name, lambda now, _term: job(now)), alone=False)

    def run_fenced(self, seconds: float, name: str, job: FencedJob) -> None:
        """Run the job each `seconds` while this process leads, waiting for no other job."""
        self._add(seconds, name, partial(self._run_leading, name, job), alone=True)

    def run_on_all(self, seconds: float, name: str, job: Job, *, alone: bool = False) -> None:
        """Run `job(now)` each `seconds` in every process; `alone` where it waits for no other job."""
        self._add(seconds, name, partial(self._call, name, job), alone=alone)

    def start(self) -> None:
        """Begin. Call it in the serving process, never before a fork."""
        self.run_on_all(LEAD_SECONDS, LEAD, self._lead, alone=True)
        self._call(LEAD, self._lead)
        self._scheduler = _started(self._rare)
        self._schedule.start()
        self._flusher.start()

    def stop(self) -> None:
        """Finish what runs, write the last counts and give up the lead so that another takes over at once."""
        self._stopped.set()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        self._schedule.stop()
        if self._flusher.is_alive():
            signals.BUFFER.get(self._app).counted.set()
            self._flusher.join()
        # After the last job, which may have counted; before resigning, so that the next leader judges complete counts.
        signals.BUFFER.get(self._app).cohorts.end_wait()
        self._call("flush-signals", signals.flush)
        self._call("resign", self._resign)

    def _leading_term(self) -> int | None:
        """Return the term while its lease lasts, also where the heartbeat hangs and nobody says that it ended."""
        return self._term if time.monotonic() < self._leads_until else None

    def _lead(self, _now: datetime) -> None:
        leads_until = time.monotonic() + LEASE_SECONDS
        with transaction() as session:
            # By the database's clock: the lease of a host that is minutes ahead would outlive it by as much.
            now = current_time(session)
            term = leases.acquire(session, LEADER, self._holder, now=now, ttl_seconds=LEASE_SECONDS)
        if term != self._term:
            log.info("leader.changed", leading=term is not None, term=term)
        self._term, self._leads_until = term, leads_until

    def _resign(self, now: datetime) -> None:
        if self._term is not None:
            with transaction() as session:
                leases.release(session, LEADER, self._holder, now=now)

    def _add(self, seconds: float, name: str, call: Callable[[], None], *, alone: bool) -> None:
        """Put the work on the schedule, from a moment within the first interval."""
        if alone or seconds <= QUICK_SECONDS:
            if seconds not in self._phases:
                self._phases[seconds] = time.monotonic() + seconds * self._next_phase()
            self._schedule.add(Work(name, seconds, call, self._phases[seconds], alone))
            return
        # Begun together, what is rare and takes longer would meet every half minute and stop the requests.
        self._rare.append(Work(name, seconds, call, time.monotonic() + seconds * self._next_phase()))

    def _next_phase(self) -> float:
        self._phase = (self._phase + GOLDEN) % 1.0
        return self._phase

    def _flush(self) -> None:
        """Write what was counted a moment after the first of it; while nothing is counted, nobody wakes."""
        buffer = signals.BUFFER.get(self._app)
        buffer.counted.wait()
        while not self._stopped.wait(FLUSH_SECONDS):
            self._call("flush-signals", signals.flush)
            # Good outcomes of cohorts stay behind for some seconds, and may be the last that are counted here for long.
            buffer.counted.wait(buffer.cohorts.wait_seconds)

    def _run_leading(self, name: str, job: FencedJob) -> None:
        term = self._leading_term()
        if term is not None:
            self._call(name, lambda now: job(now, term))

    def _call(self, name: str, job: Job) -> None:
        """Run the job; one that fails is logged and does not end the schedule."""
        with self._app.app_context():
            try:
                if name == LEAD:
                    self._beating_since = time.monotonic()
                job(clock.now())
                if name == LEAD:
                    self._lead_failure = None
                if outage := self._outages.get(name):
                    outage.success()
            except Exception as error:
                # Without a heartbeat somebody else may lead in a moment: stop leading now rather than when the lease is
                # seen to end.
                if name == LEAD:
                    self._term, self._lead_failure = None, errors.outage_of(error)
                self._log_failure(name, error)
            finally:
                if name == LEAD:
                    self._beating_since = None

    def _log_failure(self, name: str, error: Exception) -> None:
        """Log a defect with its traceback, and an outage of the database once."""
        if is_transient(error):
            outage = self._outages.setdefault(name, OutageLog("job.failed", "job.recovered", job=name))
            outage.failure(error, errors.outage_of(error))
        else:
            log.exception("job.failed", job=name, error=type(error).__name__)


def _started(rare: Iterable[Work]) -> "BackgroundScheduler":
    """Start the scheduler of what is rare."""
    # A command runs nothing on a schedule, and loads none.
    from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415
    from apscheduler.triggers.interval import IntervalTrigger  # noqa: PLC0415

    scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
    for work in rare:
        first = clock.now() + timedelta(seconds=work.due - time.monotonic())
        trigger = IntervalTrigger(seconds=work.seconds, start_date=first, timezone=UTC)
        # A run that comes late, because the process was suspended, is still wanted; `coalesce` makes one run of
        # several.
        scheduler.add_job(work.call, trigger, id=work.name, misfire_grace_time=None)
    scheduler.start()
    return scheduler


JOBS = AppState[Jobs]("jobs")


def run_on_leader(app: Flask, seconds: float, name: str, job: Job) -> None:
    """Register leader's work with the application."""
    jobs_of(app).run_on_leader(seconds, name, job)


def jobs_of(app: Flask) -> Jobs:
    """Return the jobs of the application."""
    return JOBS.get(app)


def init_app(app: Flask) -> None:
    """Give the application its schedule; `start` belongs to the serving process."""
    JOBS.set(app, Jobs(app))
