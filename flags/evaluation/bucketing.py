"""The bucket of a user in a gradual rollout: one of 100, the same that every Unleash SDK computes."""

from collections.abc import Callable

import mmh3

BUCKETS = 100
USER_ID_LENGTH_MAX = 256


def bucket(group_id: str, user_id: str) -> int:
    """Return the user's bucket, 1 to 100: in at `percentage` when `bucket <= percentage`.

    Unleash's normalised hash: MurmurHash3 (x86, 32 bit, seed 0) of `group_id:user_id` modulo 100, plus 1.
    One group id for all strategies of a flag keeps the exposed sets nested, so an advance only adds people.
    """
    # Half of a surrogate pair can arrive escaped in JSON. Given as text it crashes mmh3's process; as bytes it hashes.
    return mmh3.mmh3_32_uintdigest(f"{group_id}:{user_id}".encode("utf-8", "surrogatepass")) % BUCKETS + 1


def bucket_test(group_id: str, percentage: int) -> Callable[[str], bool]:
    """Return a test whether a user is in at `percentage`; the same as comparing their bucket, in half of the time."""
    prefix, digest = f"{group_id}:", mmh3.mmh3_32_uintdigest
    return lambda user_id: digest((prefix + user_id).encode("utf-8", "surrogatepass")) % BUCKETS < percentage


def refused_user_id(user_id: str) -> str | None:
    """Return why official engines can't be trusted with this id, as a sentence; None when they all read it alike.

    An id that ends in a backslash silently switches the whole flag off in the engine under the Python SDK; the
    Node SDK trims listed ids but not the ones it is asked about; an empty id has a bucket in one and none in
    the other.
    """
    if not user_id:
        return "A user id can't be empty; leave it out for an anonymous user."
    if len(user_id) > USER_ID_LENGTH_MAX:
        return f"A user id has at most {USER_ID_LENGTH_MAX} characters; this one has {len(user_id)}."
    if not user_id.isprintable():
        return f"The user id {user_id!a} has a control or invisible character; send it without."
    if user_id != user_id.strip():
        return f"The user id {user_id!r} starts or ends with a space; send it without."
    if user_id.endswith("\\"):
        return f"The user id {user_id!r} ends with a backslash, which flag engines misread; use another id."
    return None
