"""The official engine, the one inside Unleash's SDKs, for flags that are defined in its own words.

Loaded once per state and never changed afterwards: an engine that takes a new state keeps everyone waiting for it.
"""

import ctypes
import json
from functools import lru_cache
from typing import Any

from yggdrasil_engine.engine import UnleashEngine

CACHE_SIZE = 8
NO_CUSTOM_STRATEGIES = b"{}"
TRUE, NOT_FOUND = b'"value":true', b'"status_code":"NotFound"'


class Engine:
    """Evaluates the flags of one state. Contexts come as the JSON that Unleash knows them by."""

    def __init__(self, state: bytes) -> None:
        self._engine = UnleashEngine()
        self._engine.take_state(state.decode())
        # Bound a second time: an evaluation takes microseconds, which is less than letting go of Python's lock costs.
        library = ctypes.PyDLL(self._engine.lib._name)  # noqa: SLF001 - where the wheel put it
        self._check_enabled = _prototype(library.check_enabled)
        self._check_variant = _prototype(library.check_variant)
        self._free = library.free_response
        self._free.argtypes, self._free.restype = [ctypes.c_void_p], None

    def is_enabled(self, name: bytes, context: bytes) -> bool:
        """Return whether the flag is on; off where the engine doesn't know it."""
        return TRUE in self._ask(self._check_enabled, name, context)

    def variant(self, name: bytes, context: bytes) -> dict[str, object] | None:
        """Return the variant as the engine words it, None where it doesn't know the flag."""
        found: dict[str, object] | None = json.loads(self._ask(self._check_variant, name, context))["value"]
        return found

    def _ask(self, function: Any, name: bytes, context: bytes) -> bytes:
        # The library allocates the answer, so it has to be given back, whatever happens in between.
        answer = function(self._engine.state, name, context, NO_CUSTOM_STRATEGIES)
        try:
            return ctypes.string_at(answer)
        finally:
            self._free(answer)


@lru_cache(maxsize=CACHE_SIZE)
def engine(state: bytes) -> Engine:
    """Return the engine of this state, made once."""
    return Engine(state)


def _prototype(function: Any) -> object:
    function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]
    function.restype = ctypes.c_void_p
    return function
