"""Reading Stripe's objects without trusting their shape: plain mappings in, typed values or a reasoned refusal out."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from credits_engine.engines.periods import Period

Json = Mapping[str, object]

USER_KEYS = ("user_id", "userId")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
UNSTORABLE_ESCAPE = re.compile(rb"\\u(0000|d[89a-f])", re.IGNORECASE)


class UnreadableEventError(ValueError):
    """An event of a type we act on lacks what the effect needs; `reason` is a stable word, the text a sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def loads(body: bytes) -> Any:
    """Read JSON; what no database can store, a NUL or half of a surrogate pair, is U+FFFD. Raises ValueError."""
    value = json.loads(body)
    return _storable(value) if UNSTORABLE_ESCAPE.search(body) else value


def _storable(value: object) -> object:
    match value:
        case str():
            return UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
        case dict():
            return {_storable(name): _storable(each) for name, each in value.items()}
        case list():
            return [_storable(each) for each in value]
        case _:
            return value


def identifier(value: object) -> str | None:
    """Return the id of an object that is given as its id or expanded."""
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def required_id(stated: Json, name: str) -> str:
    """Return the id under `name`. Raises UnreadableEventError."""
    found = identifier(stated.get(name))
    if found is None:
        raise UnreadableEventError("no_id", f"A {stated.get('object', 'thing')} comes without its {name}.")
    return found


def instant(value: object) -> datetime | None:
    """Return a time in seconds of the epoch; None for anything else."""
    if type(value) is not int:
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        raise UnreadableEventError("bad_time", f"{value} is no instant.") from None


def span(stated: object, start: str, end: str) -> Period | None:
    """Return the period between two times of an object; None where it lacks either."""
    first, last = instant(object_at(stated, start, None)), instant(object_at(stated, end, None))
    return Period(first, last) if first and last and first < last else None


def integer(value: object) -> int:
    """Return an amount in the currency's smallest unit. Raises UnreadableEventError."""
    if type(value) is not int:
        raise UnreadableEventError("bad_amount", f"{value!r} is no amount in whole units.")
    return value


def integer_or_none(value: object) -> int | None:
    """Return an amount in the currency's smallest unit; None for anything else."""
    return value if type(value) is int else None


def text_or_none(value: object) -> str | None:
    """Return a text that says something; None for anything else."""
    return value if isinstance(value, str) and value else None


def quantity_of(stated: Json) -> int:
    """Return the number of its price that something is for; what is metered has none and counts as one."""
    quantity = stated.get("quantity")
    return quantity if type(quantity) is int and quantity >= 0 else 1


def object_at(stated: object, name: str, default: object = ()) -> object:
    """Return `stated[name]` if it is an object."""
    return stated.get(name, default) if isinstance(stated, Mapping) else default


def value_at(stated: object, *names: str) -> Json:
    """Return the object at the end of a path of names; empty where the path breaks off."""
    for name in names:
        stated = object_at(stated, name)
    return stated if isinstance(stated, Mapping) else {}


def list_at(value: object) -> Iterator[Json]:
    """Yield the objects of a Stripe list."""
    found = object_at(value, "data")
    if isinstance(found, list):
        yield from (each for each in found if isinstance(each, Mapping))


def named_user(stated: object) -> str | None:
    """Return the user of ours that an object's metadata names."""
    metadata = value_at(stated, "metadata")
    found = (metadata.get(key) for key in USER_KEYS)
    return next((each for each in found if isinstance(each, str) and each), None)


def required_object(event: Json) -> Json:
    """Return the object an event is about. Raises UnreadableEventError."""
    stated = value_at(event, "data", "object")
    if not stated:
        raise UnreadableEventError("no_object", f"Event {event.get('id')} carries no object.")
    return stated


def created(event: Json) -> datetime:
    """Return when Stripe made the event: seconds in snapshot events, ISO 8601 in thin ones.

    Raises UnreadableEventError.
    """
    given = event.get("created")
    moment = _iso(given) if isinstance(given, str) else instant(given)
    if moment is None:
        raise UnreadableEventError("no_creation", f"Event {event.get('id')} does not say when it was created.")
    return moment


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def guest(reference: str) -> str:
    """Return the customer of whoever paid without becoming one of Stripe's; charge and checkout share the payment."""
    return f"guest:{reference}"
