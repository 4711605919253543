"""What people write as YAML: read with the line and the place of every mistake, and moments as they are meant."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import ErrorDetails

from control_plane.plans import yaml_text
from control_plane.plans.yaml_text import MalformedYAML, Place
from control_plane.platform.problems import Problem

Document = TypeVar("Document", bound=BaseModel)

MISTAKES_MAX = 20
NEEDED = {
    "model": "names and their values are needed",
    "datetime": "a date or an instant is needed, such as 2026-07-01T00:00:00Z",
}
"""Our own words for types of errors of pydantic's, which names our class there, or the state of its parser."""
YEARS = range(2000, 2201)


def parsed(source: str, model: type[Document], code: str) -> Document:
    """Read a document. Raises Problem with `code`, and the line and the place of each mistake."""
    lines: Mapping[Place, int] = {}
    try:
        value, lines = yaml_text.load(source)
        return model.model_validate(value)
    except MalformedYAML as error:
        raise Problem(422, code, f"Line {error.line}: {error}") from error
    except ValidationError as error:
        found = [_sentence(each, lines) for each in error.errors(include_url=False, include_context=False)]
        more = [f"And {len(found) - MISTAKES_MAX} more."] if len(found) > MISTAKES_MAX else []
        raise Problem(422, code, " ".join([*found[:MISTAKES_MAX], *more])) from error


def start_of(written: datetime | None, now: datetime) -> datetime:
    """Return a start as it is stored: without one from now on, and without a zone in UTC."""
    return _in_utc(written or now)


def _sentence(error: ErrorDetails, lines: Mapping[Place, int]) -> str:
    place = f", at {'.'.join(map(str, error['loc']))}" if error["loc"] else ": The document"
    said = NEEDED.get(error["type"].partition("_")[0], error["msg"])
    return f"Line {_line(error['loc'], lines)}{place}: {said.removeprefix('Value error, ')}."


def _line(place: Place, lines: Mapping[Place, int]) -> int:
    """Return the line of a value; of one that is missing, that of what should hold it."""
    around = (place[:length] for length in range(len(place), -1, -1))
    return next((lines[each] for each in around if each in lines), 1)


def _in_utc(written: datetime) -> datetime:
    return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)


def _of_these_centuries(written: datetime | None) -> datetime | None:
    if written is not None and written.year not in YEARS:
        raise ValueError(f"a start lies in the years {YEARS[0]} to {YEARS[-1]}")
    return written


Start = Annotated[datetime | None, AfterValidator(_of_these_centuries)]
"""The moment from which on something counts; none for now."""
