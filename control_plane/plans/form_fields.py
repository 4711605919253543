"""How one field of a plan's form is read from a document and written back into it. Pure.

A form shows text. Where a value is no such text, `read` returns None, and only the YAML beside the form shows it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pydantic import TypeAdapter, ValidationError

from control_plane.audiences.constraint import Operator

ABSENT = object()
"""Written in place of a value that the document is to have no more."""
DURATION = TypeAdapter(timedelta)
UNITS = (("d", 86_400, "P{}D"), ("h", 3600, "PT{}H"), ("min", 60, "PT{}M"), ("s", 1, "PT{}S"))
"""By symbols that are the same in every language; English words are read as well."""
DURATION_TEXT = re.compile(r"(\d{1,6})\s*(d|h|min|s|day|hour|minute|second)s?", re.IGNORECASE)
DURATION_TEXTS = re.compile(rf"(?:{DURATION_TEXT.pattern}\s*)+", re.IGNORECASE)
"""A length in several units, as pages write one: `1 d 18 h`."""
CONSTRAINT_TEXT = re.compile(rf"(\S+) +(not +)?({'|'.join(Operator)})(?: +(.*))?", re.IGNORECASE)
AT_TIMES = "at_times"


@dataclass(frozen=True, slots=True)
class FormField:
    """One field: where its value stands in the document, and its text both ways.

    `read` takes the value, or ABSENT; `write` the text and the value before.
    """

    name: str
    read: Callable[[object], str | None]
    write: Callable[[str, object], object]

    @property
    def path(self) -> list[str]:
        return self.name.split(".")


def text(name: str, *, required: bool = False) -> FormField:
    """Return a field of text; an empty one that is not required leaves the document."""
    return FormField(name, _read_text, lambda written, _old: written if written or required else ABSENT)


def choice(name: str, default: str) -> FormField:
    """Return a field with a fixed set of words; the default is not written."""
    return FormField(
        name,
        lambda value: default if value is ABSENT else _read_text(value),
        lambda written, _old: ABSENT if written == default else written,
    )


def whole_number(name: str) -> FormField:
    """Return a field of one whole number or nothing."""
    return FormField(name, _read_number, lambda written, _old: _number(written) if written else ABSENT)


def text_list(name: str, *, required: bool = False) -> FormField:
    """Return a field of texts with commas between them."""
    return FormField(name, _read_list, lambda written, _old: _split(written) or ([] if required else ABSENT))


def whole_numbers(name: str) -> FormField:
    """Return a field of whole numbers with commas between them, with or without a sign of percentage."""
    return FormField(name, _read_list, lambda written, _old: [_number(each) for each in _split(written)])


def duration(name: str) -> FormField:
    """Return a field such as "7 days" for P7D; what is written otherwise is kept for the plan's own check to name."""
    return FormField(name, _read_duration, lambda written, _old: _duration(written))


def day(name: str) -> FormField:
    """Return the field of a date; a browser would show anything else as empty."""
    return FormField(name, _read_day, lambda written, _old: written or ABSENT)


def constraints(name: str) -> FormField:
    """Return a field with a line for each constraint, such as `region IN eu, us` or `plan not STR_CONTAINS free`."""
    return FormField(name, _read_constraints, lambda written, _old: _constraints(written) or ABSENT)


def quorum(name: str) -> FormField:
    """Return the field of how many approvals are asked for; the roles that may give them stay."""
    return FormField(name, _read_quorum, _write_quorum)


def advance(name: str) -> FormField:
    """Return the field of how steps are left; the times themselves are a field of their own."""
    return FormField(name, _read_advance, _write_advance)


def _read_text(value: object) -> str | None:
    if value is ABSENT:
        return ""
    # A line break or a space at the ends would not survive the field.
    return value if isinstance(value, str) and value == value.strip() and value.isprintable() else None


def _read_number(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _read_text(value)


def _read_list(value: object) -> str | None:
    listed = [] if value is ABSENT else value if isinstance(value, list | tuple) else [value]
    found = [_read_number(each) for each in listed]
    if any(each is None or not each or "," in each for each in found):
        return None
    return ", ".join(each for each in found if each)


def _split(written: str) -> list[str]:
    return [each.strip() for each in written.split(",") if each.strip()]


def _number(written: str) -> object:
    digits = written.removesuffix("%").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else written


def _read_duration(value: object) -> str | None:
    try:
        seconds = DURATION.validate_python(value).total_seconds()
    except ValidationError:
        return _read_text(value)
    if seconds < 0 or seconds != int(seconds):
        return _read_text(value)
    unit, length = next((unit, length) for unit, length, _iso in UNITS if seconds % length == 0)
    return f"{int(seconds) // length} {unit}"


def _read_day(value: object) -> str | None:
    try:
        return "" if value is ABSENT else date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def _duration(written: str) -> str:
    if not DURATION_TEXTS.fullmatch(written.strip()):
        return written
    parts = [(int(number), *_unit(name)) for number, name in DURATION_TEXT.findall(written)]
    if len(parts) == 1:
        number, _length, iso = parts[0]
        return iso.format(number)
    seconds = sum(number * length for number, length, _iso in parts)
    length, iso = next((length, iso) for _name, length, iso in UNITS if seconds % length == 0)
    return iso.format(seconds // length)


def _unit(name: str) -> tuple[int, str]:
    return next((length, iso) for symbol, length, iso in UNITS if symbol[0] == name[0].lower())


def _read_constraints(value: object) -> str | None:
    lines = [] if value is ABSENT else value
    if not isinstance(lines, list):
        return None
    found = [_line(each) for each in lines]
    return None if None in found else "\n".join(each for each in found if each)


def _line(constraint: object) -> str | None:
    """Return the constraint as a line that reads as the same constraint again, else None."""
    if not isinstance(constraint, Mapping):
        return None
    values = _read_list(constraint.get("values", ABSENT))
    negation = "not " if constraint.get("inverted") is True else ""
    line = f"{constraint.get('context_name')} {negation}{constraint.get('operator')} {values}".strip()
    return line if _constraints(line) == [dict(constraint)] else None


def _constraints(written: str) -> list[object]:
    return [_constraint(line.strip()) for line in written.splitlines() if line.strip()]


def _constraint(line: str) -> object:
    found = CONSTRAINT_TEXT.fullmatch(line)
    if found is None:
        return line
    name, negated, operator, values = found.groups()
    constraint = {"context_name": name, "operator": operator.upper(), "values": _split(values or "")}
    return constraint | ({"inverted": True} if negated else {})


def _read_quorum(value: object) -> str | None:
    if isinstance(value, Mapping):
        return _read_number(value.get("quorum", 1))
    return "" if value is ABSENT else None


def _write_quorum(written: str, old: object) -> object:
    if not written:
        return ABSENT
    return {**(old if isinstance(old, Mapping) else {}), "quorum": _number(written)}


def _read_advance(value: object) -> str | None:
    return AT_TIMES if isinstance(value, Mapping) else "by_hand" if value is ABSENT else _read_text(value)


def _write_advance(written: str, old: object) -> object:
    if written == AT_TIMES:
        return old if isinstance(old, Mapping) else {"at": []}
    return ABSENT if written == "by_hand" else written
