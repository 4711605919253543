"""One open page: whom it belongs to, what its reader was sent, and what they have to be sent.

A page is rendered in the context of a request like the one that opened it, which any thread may enter.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Protocol

from flask import Flask

from control_plane.platform.auth import authentication, authorization
from control_plane.platform.current_request import environ
from dashboards.filters import clock, utc_moment
from dashboards.fragments import Fragments, etag
from dashboards.time_zone import COOKIE, reader_zone

CREDENTIALS = ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "HTTP_X_API_KEY", "HTTP_ACCEPT_LANGUAGE")

Render = Callable[[datetime], Fragments]
Language = Callable[[], str]
"""Says the language of the reader, who may choose another one meanwhile."""


@dataclass(frozen=True, slots=True)
class View:
    """What readers have in common who see the same: the address, the role there, the language and the time zone."""

    url: str
    role: str
    language: str
    zone: str


class News(Protocol):
    """What a reader is to be sent."""

    @property
    def is_last(self) -> bool:
        """Return whether the stream is over with it."""

    def events(self, sent: dict[str, str]) -> Iterator[bytes]:
        """Yield the events of it that are missing in `sent`, the tag of each region that the reader has."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event, or none, about the page as a whole."""

    event: bytes
    is_last: bool = False

    def events(self, sent: dict[str, str]) -> Iterator[bytes]:  # noqa: ARG002 - a notice goes to every reader
        """Yield the event."""
        if self.event:
            yield self.event


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """The page at an instant, as events that are encoded once for all its readers."""

    regions: Mapping[str, tuple[str, bytes]]
    """Tag and event of each region, by id."""
    as_of: bytes
    is_last: bool = False

    def events(self, sent: dict[str, str]) -> Iterator[bytes]:
        """Yield what changed, then the instant; the browser keeps the rest, and the reader's place and focus in it."""
        for name, (tag, encoded) in self.regions.items():
            if sent.get(name) != tag:
                sent[name] = tag
                yield encoded
        yield self.as_of


class LiveReader:
    """The reader of one open page."""

    def __init__(self, app: Flask, render: Render, language: Language, *, retry_seconds: int) -> None:
        # A request of its own: the one that opened the page ends in another thread, and traces and counts with it.
        environment = {name: value for name, value in environ().items() if isinstance(value, str)}
        self.context = app.request_context(environment | {"wsgi.input": BytesIO()})
        self.claim = self.context.request.url, *(environment.get(name, "") for name in CREDENTIALS)
        """Readers who have this in common are the same person, who looks at the same page."""
        self.render = render
        self._language = language
        self._zone = reader_zone(self.context.request.cookies.get(COOKIE))
        self._begin = f"retry: {retry_seconds * 1000}\n\n".encode()
        self._news: News | None = None
        self._number = self._seen = 0
        self._changed = threading.Condition()

    @property
    def is_new(self) -> bool:
        """Return whether there was nothing yet to show to the reader."""
        return self._news is None

    def view(self) -> View | None:
        """Return what the reader may see now, looked up afresh: None for a session that has ended meanwhile."""
        with self.context:
            authentication.reload_principal()
            role = str(authorization.role_here() or "")
            return View(self.context.request.url, role, self._language(), self._zone) if role else None

    def show(self, news: News) -> None:
        """Let the reader have this; what they have not taken yet is left out."""
        with self._changed:
            self._news = news
            self._number += 1
            self._changed.notify_all()

    def frames(self) -> Iterator[bytes]:
        """Yield what there is to send whenever it is asked for; an empty frame where there is nothing now."""
        yield self._begin
        sent: dict[str, str] = {}
        while True:
            with self._changed:
                news, is_current, self._seen = self._news, self._number == self._seen, self._number
            if news is None or is_current:
                yield b""
                continue
            yield from news.events(sent)
            if news.is_last:
                return

    def body(self) -> Iterator[bytes]:
        """Yield the same frames, with a wait where there is nothing to send."""
        for frame in self.frames():
            if frame:
                yield frame
            else:
                with self._changed:
                    self._changed.wait_for(lambda: self._number != self._seen)


def rendered(regions: Fragments, at: datetime) -> RenderedPage:
    """Return a page as events, in the present language and time zone."""
    return RenderedPage(
        {name: _region(name, html, etag(html)) for name, html in regions.items()},
        event("asof", at=at.isoformat(timespec="seconds"), text=clock(at), title=utc_moment(at)),
    )


def event(name: str, **value: str) -> bytes:
    """Return a server-sent event."""
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


def _region(name: str, html: str, tag: str) -> tuple[str, bytes]:
    return tag, event("region", id=name, mark=tag, html=html)
