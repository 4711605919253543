"""The use case as one statement: PostgreSQL's own `credit_operate`, in a transaction of its own."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from control_plane.platform import alone
from credits_engine.engines.decisions import EngineName

# The row as JSON: one column costs the driver and SQLAlchemy a tenth of what forty-six of them do.
OPERATE = (
    "SELECT row_to_json(entry)::text, replayed FROM credit_operate(%s, %s, %s, %s, %s, %s,"
    " in_environment => %s, override => %s, bucket => %s, allowed_on_error => %s)"
)
INSTANTS = (
    "occurred_at",
    *(f"{engine.value}_period_{bound}" for engine in EngineName for bound in ("start", "end")),
)


def operate(parameters: tuple[Any, ...]) -> tuple[Mapping[str, Any], bool]:
    """The journal row that answers, by column name, and whether it had been given before.

    `parameters` are user, key, analysis, roast, actor, now, environment, the environment variable, the user's bucket,
    and whether an operation that could not be decided goes ahead. Raises DBAPIError with the function's own SQLSTATE.
    """
    ((document, replayed),) = alone.rows_of(OPERATE, parameters)
    row: dict[str, Any] = json.loads(document)
    for name in INSTANTS:
        row[name] = datetime.fromisoformat(row[name])
    return row, replayed
