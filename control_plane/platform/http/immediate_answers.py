"""Which requests are answered from memory, so that handing them to another thread would cost more than the answer."""

from collections.abc import Callable

from control_plane.platform.current_request import Environ
from control_plane.platform.extensions import AppState

IsImmediate = Callable[[Environ], bool]
"""Return whether a request waits for nothing and nobody. Called for each, outside of an application's context."""


def _none(_environ: Environ) -> bool:
    return False


IS_IMMEDIATE = AppState[IsImmediate]("is_immediate", lambda: _none)
