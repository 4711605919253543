"""The users whom a flag treats by name, as segments: everybody who is kept out, and the earliest of those let in.

Who is let in and not sent waits for a phase, which harms nobody. Who is kept out must be sent, however many they are:
their list is cut by a hash of the name, so that one more changes one part and not all of it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, islice
from typing import NamedTuple
from zlib import crc32

from flags.evaluation.bucketing import refused_user_id

ALLOWED_MAX = 100
"""So many users let in by name travel to SDKs, of each flag; the others are answered by a server alone."""
DENIED_MAX = 10_000
"""So many users can be kept out of a flag by name: all of them travel. Those of earlier releases beyond it do too."""
PART_BYTES = 2_000
"""A list of users kept out that is longer than this is cut in two."""
HASH_BITS = 32
QUOTES = 3
"""What JSON adds to a name in a list."""
LIST_CACHE_SIZE = 16


class Sendable(NamedTuple):
    """Users whose ids all engines read alike, in order, and those whose ids they don't."""

    user_ids: tuple[str, ...]
    left_out: tuple[str, ...]


class Part(NamedTuple):
    """Those users whose hash begins with these bits."""

    bits: str
    user_ids: tuple[str, ...]


# A million users take seconds to check and sort; from one change to the next they are mostly the same.
@lru_cache(maxsize=LIST_CACHE_SIZE)
def sendable(user_ids: frozenset[str]) -> Sendable:
    """Tell the users who can be sent from those who can't."""
    left_out = {user_id for user_id in user_ids if refused_user_id(user_id)}
    return Sendable(tuple(sorted(user_ids - left_out)), tuple(sorted(left_out)))


def earliest(user_ids: Iterable[str]) -> list[str]:
    """Return the first of those let in, as many as travel; who can't be sent takes no place."""
    return list(islice((user_id for user_id in user_ids if not refused_user_id(user_id)), ALLOWED_MAX))


@lru_cache(maxsize=LIST_CACHE_SIZE)
def parts(user_ids: tuple[str, ...]) -> tuple[Part, ...]:
    """Cut a list into parts of at most so many bytes: which depends on who is in it, never on what it was before."""
    hashed = sorted((crc32(user_id.encode("utf-8", "surrogatepass")), user_id) for user_id in user_ids)
    sizes = (len(user_id.encode("utf-8", "surrogatepass")) + QUOTES for _, user_id in hashed)
    return tuple(_parts(hashed, [0, *accumulate(sizes)], "", 0, len(hashed)))


def _parts(hashed: Sequence[tuple[int, str]], ends: Sequence[int], bits: str, first: int, last: int) -> Iterator[Part]:
    """Cut what lies from `first` to `last`; `ends` is how many bytes come before each place."""
    if ends[last] - ends[first] <= PART_BYTES or len(bits) == HASH_BITS:
        if first < last:
            yield Part(bits, tuple(sorted(user_id for _, user_id in hashed[first:last])))
        return
    upper = int(f"{bits}1".ljust(HASH_BITS, "0"), 2)
    middle = bisect_left(hashed, (upper, ""), first, last)
    yield from _parts(hashed, ends, f"{bits}0", first, middle)
    yield from _parts(hashed, ends, f"{bits}1", middle, last)
