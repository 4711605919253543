"""Shadows as tasks of the caller's event loop, to which what they await belongs: none delays the caller's answer."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass

Run = Callable[[], None]
TASKS_MAX = 200
"""So many shadows run at once in one process; beyond, shadows are skipped."""


@dataclass(slots=True, eq=False)
class AsyncShadow:
    """One run of a shadow that is awaited. Just one of `finish`, `give_up` and `skip` reports it."""

    run: Callable[[], Coroutine[None, None, None]]
    finish: Run
    give_up: Run
    skip: Run


class ShadowTasks:
    """Tasks that run shadows, of one process."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._running: set[asyncio.Task[None]] = set()
        """Also those that were given up and go on: cancelling is a request."""
        self._watching: set[asyncio.Task[None]] = set()

    def submit(self, shadow: AsyncShadow) -> bool:
        """Run `shadow` soon, without the caller's context; False where too many run already."""
        if len(self._running) >= TASKS_MAX:
            return False
        running = _start(self._running, _run(shadow))
        _start(self._watching, self._watch(shadow, running))
        return True

    async def wait(self) -> None:
        """Wait until every shadow of this event loop is reported, which none delays beyond the limit."""
        loop = asyncio.get_running_loop()
        if tasks := [each for each in self._watching if each.get_loop() is loop]:
            await asyncio.wait(tasks)

    async def _watch(self, shadow: AsyncShadow, running: asyncio.Task[None]) -> None:
        try:
            # Not `wait_for`, which would wait for a shadow that takes no notice of being cancelled.
            done, _ = await asyncio.wait({running}, timeout=self._limit_seconds)
        except asyncio.CancelledError:
            shadow.skip()  # the loop ends, which says nothing about the shadow
            raise
        finally:
            running.cancel()
        (shadow.finish if done else shadow.give_up)()


def _start(tasks: set[asyncio.Task[None]], coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Begin a task without the caller's context, and keep it until it ends: the loop itself keeps none alive."""
    task = asyncio.get_running_loop().create_task(coroutine, name="flags-shadow", context=Context())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


async def _run(shadow: AsyncShadow) -> None:
    # Nothing that a shadow raises is the service's: not even what asks to end the process.
    with suppress(BaseException):
        await shadow.run()
