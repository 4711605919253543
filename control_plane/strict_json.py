"""Reading JSON strictly: what every database and every SDK understands, and nothing else. Pure."""

import json
import math
from collections.abc import Sequence

UNSTORABLE = ("\\u0000", "\\ud", "\\uD")


class MalformedJSON(ValueError):  # noqa: N818 - the word of the problem's code
    """The text can't be read; the message says where and why."""


def loads(source: str | bytes) -> object:
    """Return the value of `source`. Raises MalformedJSON for anything that isn't strict JSON."""
    value, dropped = loads_storable(source)
    if dropped:
        raise MalformedJSON("a text holds a NUL or half of a surrogate pair, which can't be stored")
    return value


def loads_storable(source: str | bytes) -> tuple[object, Sequence[str]]:
    """Return the value of `source` without what no database stores, and where that stood; raises as `loads` does."""
    dropped: list[str] = []
    try:
        text = source if isinstance(source, str) else source.decode("utf-8")
        value = DECODER.decode(text)
        if "\\u" in text and any(escape in text for escape in UNSTORABLE):
            value = _storable(value, "", dropped)
    except UnicodeDecodeError as error:
        raise MalformedJSON(f"byte {error.start} isn't UTF-8") from error
    except RecursionError as error:
        raise MalformedJSON("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise MalformedJSON(f"{error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise MalformedJSON(str(error)) from error
    return value, dropped


def is_storable(text: str) -> bool:
    """Return whether every database takes the text: without a NUL, or half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _storable(value: object, place: str, dropped: list[str]) -> object:
    """Return `value` without the texts and names that can't be stored; a text that is all of it becomes empty."""
    match value:
        case str() if not is_storable(value):
            dropped.append(place)
            return ""
        case list():
            storable = [(n, each) for n, each in enumerate(value) if _is_storable_at(each, f"{place}.{n}", dropped)]
            return [_storable(each, f"{place}.{n}", dropped) for n, each in storable]
        case dict():
            found = [
                (name, each)
                for name, each in value.items()
                if _is_storable_at(name, f"{place}.{name!a}", dropped)
                and _is_storable_at(each, f"{place}.{name}", dropped)
            ]
            return {name: _storable(each, f"{place}.{name}", dropped) for name, each in found}
        case _:
            return value


def _is_storable_at(value: object, place: str, dropped: list[str]) -> bool:
    """Return whether a text or another value can be stored; note the place of one that can't."""
    if isinstance(value, str) and not is_storable(value):
        dropped.append(place.lstrip("."))
        return False
    return True


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise MalformedJSON(f"the number {digits[:40]} is too large")
    return number


def _refuse_constant(name: str) -> float:
    raise MalformedJSON(f"{name} isn't a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > 400:
        raise MalformedJSON(f"the number {digits[:40]}… has {len(digits)} digits")
    return int(digits)


DECODER = json.JSONDecoder(parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant)
