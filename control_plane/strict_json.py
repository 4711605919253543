"""Reading JSON strictly: what every database and every SDK understands, and nothing else. Pure."""

import json
import math

UNSTORABLE = ("\\u0000", "\\ud", "\\uD")


class MalformedJSON(ValueError):  # noqa: N818 - the word of the problem's code
    """The text can't be read; the message says where and why."""


def loads(source: str | bytes) -> object:
    """Return the value of `source`. Raises MalformedJSON for anything that isn't strict JSON."""
    try:
        text = source if isinstance(source, str) else source.decode("utf-8")
        value = DECODER.decode(text)
        if "\\u" in text and any(escape in text for escape in UNSTORABLE):
            _refuse_unstorable(value)
    except UnicodeDecodeError as error:
        raise MalformedJSON(f"byte {error.start} isn't UTF-8") from error
    except RecursionError as error:
        raise MalformedJSON("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise MalformedJSON(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        raise MalformedJSON(str(error)) from error
    return value


def is_storable(text: str) -> bool:
    """Return whether every database takes the text: without a NUL, or half of a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _refuse_unstorable(value: object) -> None:
    match value:
        case str():
            if not is_storable(value):
                raise MalformedJSON("a text holds a NUL or half of a surrogate pair, which can't be stored")
        case list():
            for element in value:
                _refuse_unstorable(element)
        case dict():
            for name, element in value.items():
                _refuse_unstorable(name)
                _refuse_unstorable(element)


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
