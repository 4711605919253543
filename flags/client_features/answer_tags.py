"""The tags of answers to browsers that ask the same again: a 304 without evaluating, where the answer can't differ."""

from collections.abc import Iterable
from hashlib import blake2b

from flags.evaluation.contexts import Context
from flags.unleash.compiler import Wire

TAGS_MAX = 10_000
"""So many are kept of each feature set; then it begins anew."""
KEY_BYTES = 16
"""What a key takes, however long a question is: whoever asks decides that, and a browser's token is no secret."""
SESSION = "sessionId"
BY_SESSION = "gradualRolloutSessionId"


class AnswerTags:
    """The tag of each answer of one feature set, by all that was asked with."""

    def __init__(self, features: Iterable[Wire], segments: Iterable[Wire]) -> None:
        known = list(features)
        strategies = [strategy for feature in known for strategy in feature["strategies"]]
        constraints = [each for holder in (*strategies, *segments) for each in holder.get("constraints") or ()]
        stickiness = {each["stickiness"] for holder in (*known, *strategies) for each in holder.get("variants") or ()}
        stickiness |= {strategy.get("parameters", {}).get("stickiness") for strategy in strategies}
        self._asks_time = any(str(each["operator"]).startswith("DATE_") for each in constraints)
        self._asks_session = (
            SESSION in stickiness
            or any(each["contextName"] == SESSION for each in constraints)
            or any(strategy["name"] == BY_SESSION for strategy in strategies)
        )
        self._tags: dict[bytes, str] = {}

    def key(self, context: Context, *, has_session: bool) -> bytes | None:
        """Name the question by all that its answer depends on; None where the next answer may be another one."""
        if self._asks_time and context.current_time is None:
            return None
        if not has_session and (self._asks_session or not context.user_id):
            return None
        session = context.session_id if has_session else None
        properties = tuple(sorted(context.properties.items()))
        fields = context.user_id, session, context.remote_address, context.app_name, context.current_time, properties
        # `repr` keeps apart what lies side by side, and writes a lone surrogate as ASCII would.
        return blake2b(repr(fields).encode("utf-8", "backslashreplace"), digest_size=KEY_BYTES).digest()

    def find(self, key: bytes | None) -> str | None:
        """Return the tag of the answer, if it was given before."""
        return None if key is None else self._tags.get(key)

    def add(self, key: bytes | None, tag: str) -> None:
        """Keep the tag of an answer."""
        if key is None:
            return
        if len(self._tags) >= TAGS_MAX:
            self._tags = {}
        self._tags[key] = tag
