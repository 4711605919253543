"""Work on a schedule, on one leader: every process has a scheduler, only the holder of the lease works."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from flask import Flask

from control_plane.platform import clock
from control_plane.platform.db import errors
from control_plane.platform.db.database import current_time, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import signals
from control_plane.platform.runtime import leases

LEADER = "leader"
LEAD = "lead"
LEASE_SECONDS = 5.0
LEAD_SECONDS = 1.0
FLUSH_SECONDS = 0.25
OFTEN_SECONDS = 1.0
"""Work that is due so often has a thread of its own in place of the scheduler."""
HANGS_SECONDS = 15.0
"""A heartbeat that takes longer than any statement may gets no answer at all, and so no error either."""
UNANSWERED = "it does not answer"
GOLDEN = 0.618
"""Steps of about the golden ratio lie far apart on a circle, however many there are."""

log = structlog.get_logger()

Job = Callable[[datetime, int], None]
"""Called with the present and the leader's fencing term, inside an application context."""


class Jobs:
    """The registered work of one application and the scheduler that runs it once started."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._scheduler = BackgroundScheduler(timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1})
        self._term: int | None = None
        self._stopped = threading.Event()
        self._often: list[threading.Thread] = []
        self._phase = 0.0
        self._leads_until = 0.0
        self._lead_failure: str | None = None
        self._beating_since: float | None = None

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
        """Run `job(now, term)` each `seconds` while this process leads."""
        self._add(seconds, name, self._run, [name, job])

    def run_on_all(self, seconds: float, name: str, job: Callable[[datetime], None]) -> None:
        """Run `job(now)` each `seconds` in every process."""
        self._add(seconds, name, self._call, [name, job])

    def start(self) -> None:
        """Begin. Call it in the serving process, never before a fork."""
        self.run_on_all(LEAD_SECONDS, LEAD, self._lead)
        self.run_on_all(FLUSH_SECONDS, "flush-signals", signals.flush)
        with self._app.app_context():
            self._call(LEAD, self._lead)
        self._scheduler.start()
        for thread in self._often:
            thread.start()

    def stop(self) -> None:
        """Finish what runs, write the last counts and give up the lead so that another takes over at once."""
        self._stopped.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
        for thread in self._often:
            if thread.is_alive():
                thread.join()
        # After the last job, which may have counted; before resigning, so that the next leader judges complete counts.
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

    def _add(self, seconds: float, name: str, call: Callable[..., None], arguments: list[object]) -> None:
        """Put the work on the schedule, from a moment within the first interval that is its own."""
        # Begun together, all work of five, ten and fifteen seconds would meet every half minute and stop the requests.
        self._phase = (self._phase + GOLDEN) % 1.0
        if seconds <= OFTEN_SECONDS:
            # The scheduler takes more time to wake for such work than the work itself.
            repeat = [seconds, time.monotonic() + seconds * self._phase, call, arguments]
            self._often.append(threading.Thread(target=self._repeat, args=repeat, name=name, daemon=True))
            return
        began_at = clock.now() + timedelta(seconds=seconds * self._phase)
        trigger = IntervalTrigger(seconds=seconds, start_date=began_at, timezone=UTC)
        # A run that comes late, because the process was suspended, is still wanted; `coalesce` makes one run of
        # several.
        self._scheduler.add_job(call, trigger, arguments, id=name, misfire_grace_time=None)

    def _repeat(self, seconds: float, due: float, call: Callable[..., None], arguments: list[object]) -> None:
        """Call from `due` on at intervals; where one call outlasts its interval, those it missed are left out."""
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            call(*arguments)
            due += seconds * (1 + max(0, (time.monotonic() - due) // seconds))

    def _run(self, name: str, job: Job) -> None:
        term = self._leading_term()
        if term is not None:
            self._call(name, lambda now: job(now, term))

    def _call(self, name: str, job: Callable[[datetime], None]) -> None:
        """One poisonous run is logged and does not end the schedule."""
        with self._app.app_context():
            try:
                if name == LEAD:
                    self._beating_since = time.monotonic()
                job(clock.now())
                if name == LEAD:
                    self._lead_failure = None
            except Exception as error:
                # Without a heartbeat somebody else may lead in a moment: stop leading now rather than when the lease is
                # seen to end.
                if name == LEAD:
                    self._term, self._lead_failure = None, errors.outage_of(error)
                log.exception("job.failed", job=name, error=type(error).__name__)
            finally:
                if name == LEAD:
                    self._beating_since = None


JOBS = AppState[Jobs]("jobs")


def run_on_leader(app: Flask, seconds: float, name: str, job: Job) -> None:
    """Register leader's work with the application."""
    jobs_of(app).run_on_leader(seconds, name, job)


def jobs_of(app: Flask) -> Jobs:
    """The jobs of the application."""
    return JOBS.get(app)


def init_app(app: Flask) -> None:
    """Give the application its schedule; `start` belongs to the serving process."""
    JOBS.set(app, Jobs(app))
