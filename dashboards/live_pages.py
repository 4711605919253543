"""Pages that stay true while they are open: one thread renders each for all who see the same, whoever sends it.

Rendering takes tens of milliseconds, so it is done beside the thread that sends, which other streams wait for.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import partial
from time import monotonic

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform.clock import DATABASE_CLOCK
from control_plane.platform.runtime import change_feed
from dashboards.language import use_language
from dashboards.live_reader import LiveReader, News, Notice, View, event, rendered
from dashboards.time_zone import use_time_zone

TICK_SECONDS = 2.0
"""How often a page hears from us at the latest; well under the ten seconds after which a proxy may give up."""
STALE = Notice(event("stale"))
"""The page keeps what it shows and says that it is no longer sure of it."""
SIGNED_OUT = Notice(event("end", because="signed-out"), is_last=True)
STOPPING = Notice(event("end", because="stopping"), is_last=True)
BROKEN = Notice(b"", is_last=True)
"""The connection ends, and the browser asks again."""

log = structlog.get_logger()


class LivePages:
    """The open pages of one process, up to a number, and the thread that keeps them true; it starts with the first."""

    def __init__(self, app: Flask, limit: int) -> None:
        self.limit = limit
        self._app = app
        self._readers: set[LiveReader] = set()
        self._changing = threading.Lock()
        self._is_running = False
        self._senders: set[Callable[[], None]] = set()
        self._rendered: dict[View, News] = {}
        """What the last tick or change has shown, for those who open the same page until the next."""

    @property
    def open(self) -> int:
        """Return how many pages are open."""
        return len(self._readers)

    def enter(self, reader: LiveReader) -> Callable[[], None] | None:
        """Keep a page true from now on; return what ends that, once or more often, or None where there is no room."""
        with self._changing:
            if self.open >= self.limit:
                return None
            if not self._is_running:
                threading.Thread(target=self._update_forever, name="live-pages", daemon=True).start()
                self._is_running = True  # not before: where the system gives no thread, the next page tries again
            self._readers.add(reader)
        change_feed.FEED.get(self._app).interrupt()
        return partial(self._leave, reader)

    def subscribe(self, send: Callable[[], None]) -> None:
        """Call `send` whenever readers have something to be sent. Doing so twice changes nothing."""
        self._senders.add(send)

    def _leave(self, reader: LiveReader) -> None:
        with self._changing:
            self._readers.discard(reader)

    def _update_forever(self) -> None:
        feed, known, due = change_feed.FEED.get(self._app), -1, 0.0
        while self._has_readers():
            revision = feed.wait(known, due - monotonic(), unless=self._new)
            if feed.stopped:
                self._stop()
            elif revision != known or monotonic() >= due:
                known, due = revision, monotonic() + TICK_SECONDS
                self._rendered = {}
                self._show(self._present())
            else:
                self._show(self._new())

    def _has_readers(self) -> bool:
        with self._changing:
            self._is_running = self._is_running and bool(self._readers)
            return self._is_running

    def _present(self) -> Sequence[LiveReader]:
        with self._changing:
            return list(self._readers)

    def _new(self) -> Sequence[LiveReader]:
        return [reader for reader in self._present() if reader.is_new]

    def _stop(self) -> None:
        with self._changing:
            self._is_running = False
            readers = list(self._readers)
        self._publish(readers, STOPPING)

    def _show(self, readers: Sequence[LiveReader]) -> None:
        try:
            views = _views(readers)
        except SQLAlchemyError as error:
            log.warning("live.stale", error=type(error).__name__)
            self._publish(readers, STALE)
            return
        for view, watching in views.items():
            self._publish(watching, self._news(view, watching[0]))

    def _news(self, view: View | Notice, reader: LiveReader) -> News:
        if isinstance(view, Notice):
            return view
        if view not in self._rendered:
            self._rendered[view] = _render(view, reader)
        return self._rendered[view]

    def _publish(self, readers: Collection[LiveReader], news: News) -> None:
        for reader in readers:
            reader.show(news)
        for send in tuple(self._senders):
            send()


def _views(readers: Sequence[LiveReader]) -> Mapping[View | Notice, Sequence[LiveReader]]:
    """Return who watches what, or is told that it is over. Raises SQLAlchemyError where nobody can tell."""
    claims: dict[Hashable, View | Notice] = {}
    watching: defaultdict[View | Notice, list[LiveReader]] = defaultdict(list)
    for reader in readers:
        if reader.claim not in claims:
            claims[reader.claim] = _view(reader)
        watching[claims[reader.claim]].append(reader)
    return watching


def _view(reader: LiveReader) -> View | Notice:
    try:
        return reader.view() or SIGNED_OUT
    except SQLAlchemyError:
        raise
    except Exception:
        # The thread is everybody's: whatever became of this reader, the others go on.
        log.exception("live.failed")
        return BROKEN


def _render(view: View, reader: LiveReader) -> News:
    try:
        with reader.context, use_language(view.language), use_time_zone(view.zone):
            now = DATABASE_CLOCK.now()
            return rendered(reader.render(now), now)
    except SQLAlchemyError as error:
        log.warning("live.stale", error=type(error).__name__)
        return STALE
    except Exception:
        # Whatever became of this page, say a rollout that is no more, the others go on.
        log.exception("live.failed")
        return BROKEN
