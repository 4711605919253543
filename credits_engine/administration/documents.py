"""What people write as YAML: read with the place of every mistake, and moments as they are meant."""

from datetime import UTC, datetime
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from control_plane.platform.problems import Problem

Document = TypeVar("Document", bound=BaseModel)


def parsed(source: str, model: type[Document], code: str) -> Document:
    """Read a document. Raises Problem with `code`, and the place of each mistake."""
    try:
        return model.model_validate(yaml.safe_load(source))
    except yaml.YAMLError as error:
        raise Problem(422, code, f"This is no YAML: {error}") from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Problem(422, code, found) from error


def start_of(written: datetime | None, now: datetime) -> datetime:
    """Return a start as it is stored: without one from now on, and without a zone in UTC."""
    starts = written or now
    return starts.replace(tzinfo=UTC) if starts.tzinfo is None else starts.astimezone(UTC)
