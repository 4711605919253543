"""Work done once for everybody who asks for the same thing at about the same time."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Cached(Generic[Value]):
    version: int
    at: float
    value: Value


class SingleFlight(Generic[Value]):
    """The last value of each key. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._made: dict[Hashable, _Cached[Value]] = {}
        self._making = threading.Lock()

    def get(self, key: Hashable, version: int, *, age_seconds: float, make: Callable[[], Value]) -> Value:
        """Return the value made for `key` and `version` within `age_seconds`, else call `make`; others wait for it.

        What `make` raises reaches the caller, and the next one tries again.
        """
        # Held while the value is made: that is what lets the others wait for it. One lock for all keys, as there are
        # few.
        with self._making:
            made = self._made.get(key)
            if made is None or made.version != version or self._clock() - made.at > age_seconds:
                made = self._made[key] = _Cached(version, self._clock(), make())
            return made.value
