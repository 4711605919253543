"""The addresses at which pages stay true: server-sent events with the regions that changed, and the time as of which.

One thread of the server sends them all, together with the streams of SDKs (`control_plane/gateway/shared_streams.py`).
"""

from flask import Flask, Response, current_app, request

from control_plane.platform.extensions import AppState
from control_plane.platform.http import shared_streams
from control_plane.platform.problems import Problem
from control_plane.platform.settings import Settings
from dashboards.live_pages import LivePages
from dashboards.live_reader import Language, LiveReader, Render

RETRY_SECONDS = 5
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

LIVE_PAGES = AppState[LivePages]("live_pages")


def stream(render: Render, language: Language) -> Response:
    """Return a stream of what `render` gives at each change, and every few seconds.

    Raises Problem where no place is free.
    """
    app, pages = current_app._get_current_object(), LIVE_PAGES.get()  # type: ignore[attr-defined] # noqa: SLF001
    reader = LiveReader(app, render, language, retry_seconds=RETRY_SECONDS)
    leave = pages.enter(reader)
    if leave is None:
        detail = f"This process updates as many pages live as it may ({pages.limit}); refresh this one, or try again."
        raise Problem(503, "TOO_MANY_STREAMS", detail, headers={"Retry-After": str(RETRY_SECONDS)})
    writer, body = shared_streams.writer(request.environ), reader.body()
    if writer is not None:
        pages.subscribe(writer.wake)
        shared_streams.hand_over(request.environ, reader.frames())
        body = iter(())
    response = Response(body, mimetype="text/event-stream", headers=HEADERS)
    # Not in the generator: one that was never begun is never ended either.
    response.call_on_close(leave)
    return response


def streams() -> LivePages:
    """Return the open pages of this process."""
    return LIVE_PAGES.get()


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its live pages."""
    LIVE_PAGES.set(app, LivePages(app, settings.live_pages))
