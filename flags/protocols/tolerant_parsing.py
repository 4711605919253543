"""Reports of SDKs, of which what can be read counts: an interval's counts are not lost for one odd field."""

from collections.abc import Sequence
from typing import Any, TypeVar

import structlog
from flask import request
from pydantic import ValidationError

from control_plane.strict_json import MalformedJSON, loads_storable
from flags.protocols.requests import ClientRequest
from flags.protocols.unleash_errors import BadRequest

M = TypeVar("M", bound=ClientRequest)

ROUNDS = 4
"""What is dropped may leave its surroundings without what they need, which is then dropped as well."""
NAMED_MAX = 20

log = structlog.get_logger()


def parse_readable(model: type[M]) -> M:
    """Return the readable part of the request's body; raises BadRequest where nothing is left of it.

    What is dropped is named in a log line.
    """
    value, dropped = _body()
    details: list[tuple[str, str]] = []
    for _ in range(ROUNDS):
        try:
            found = model.model_validate(value)
        except ValidationError as error:
            mistakes = error.errors(include_url=False, include_context=False, include_input=False)
            details += [(".".join(map(str, each["loc"])), each["msg"]) for each in mistakes]
            places = {_place(each["loc"], missing=each["type"] == "missing") for each in mistakes}
            if () in places:
                raise BadRequest(*details) from error
            # From the end, so that the places of list entries before them stay as they are.
            for place in sorted(places, key=lambda place: [(str(type(key)), key) for key in place], reverse=True):
                dropped.append(".".join(map(str, place)))
                _drop(value, place)
        else:
            if dropped and not found.has_content:
                raise BadRequest(*details)
            if dropped:
                log.info("flags.report_read_in_part", dropped=dropped[:NAMED_MAX], number=len(dropped))
            return found
    raise BadRequest(*details)


def _body() -> tuple[Any, list[str]]:
    """Return the body without what can't be stored, as a name with a NUL, and where that stood."""
    try:
        value, dropped = loads_storable(request.get_data())
    except MalformedJSON as malformed:
        request.on_json_loading_failed(malformed)  # it raises, as it does for every other body
        raise
    return value, [*dropped]


def _place(location: Sequence[int | str], *, missing: bool) -> tuple[int | str, ...]:
    """Return what to drop for a mistake: the field, or for one that is missing what lacks it."""
    return tuple(location[:-1] if missing else location)


def _drop(value: Any, place: Sequence[int | str]) -> None:
    """Drop what is at the place, or the last thing on the way to it: a union names its alternatives there as well."""
    way: list[tuple[Any, Any]] = []
    for key in place:
        if not (_has_key(value, key) or _has_index(value, key)):
            break
        way.append((value, key))
        value = value[key]
    if way:
        holder, key = way[-1]
        del holder[key]


def _has_key(value: object, key: int | str) -> bool:
    return isinstance(value, dict) and key in value


def _has_index(value: object, key: int | str) -> bool:
    return isinstance(value, list) and isinstance(key, int) and key < len(value)
