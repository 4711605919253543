"""Conditions on customers: as constraints that every SDK reads alike, and decided by the official engine itself.

One meaning for all: what is compiled for SDKs is what is asked here, so an evaluation can't differ from theirs.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from control_plane.audiences.constraint import DATES, LISTS, Constraint, Operator
from control_plane.audiences.exposure import Share
from flags.evaluation.timestamps import ZULU, earlier_prefixes, later_prefixes, parse_timestamp
from flags.evaluation.unleash_engine import Engine

CACHE_SIZE = 64
NAME = b"members"

Membership = Callable[[bytes], bool]
"""Whether a context, in the JSON of Unleash's engines, meets the conditions."""


def wire_constraint(
    context_name: str, operator: str, values: Sequence[str], *, inverted: bool = False, case_insensitive: bool = False
) -> dict[str, object]:
    """Return a constraint as SDKs receive it."""
    given = {"values": list(values)} if operator in LISTS else {"value": values[0]}
    return {
        "contextName": context_name,
        "operator": str(operator),
        **given,
        "inverted": inverted,
        "caseInsensitive": case_insensitive,
    }


def wire_constraints(constraints: Sequence[Constraint]) -> list[dict[str, object]]:
    """Return the constraints as SDKs receive them, dates as beginnings of instants (see `timestamps.py`)."""
    return [wire for constraint in constraints for wire in _wires(constraint)]


@lru_cache(maxsize=CACHE_SIZE)
def membership(constraints: tuple[Constraint, ...]) -> Membership:
    """Return a test whether a context meets all `constraints`."""
    strategy = {"name": "default", "parameters": {}, "constraints": wire_constraints(constraints)}
    feature = {"name": NAME.decode(), "enabled": True, "strategies": [strategy]}
    engine = Engine(json.dumps({"version": 2, "features": [feature]}).encode())
    return lambda context: engine.is_enabled(NAME, context)


def met_shares(shares: Sequence[Share], context: bytes) -> list[Share]:
    """Return the shares whose conditions `context` meets, the largest percentage first."""
    met = [share for share in shares if membership(share.constraints)(context)]
    return sorted(met, key=lambda share: -share.percentage)


def encode_context(user_id: str | None, properties: dict[str, str]) -> bytes:
    """Return a customer in the JSON of Unleash's engines."""
    known = {"userId": user_id} if user_id else {}
    # Half of a surrogate pair from a caller must not make an evaluation fail.
    return json.dumps({**known, "properties": properties}, ensure_ascii=False).encode(errors="replace")


def _wires(constraint: Constraint) -> Iterator[dict[str, object]]:
    name = constraint.context_name
    if constraint.operator in DATES:
        instant = parse_timestamp(constraint.values[0]) or datetime.max.replace(tzinfo=UTC)
        prefixes = later_prefixes if constraint.operator is Operator.DATE_AFTER else earlier_prefixes
        yield wire_constraint(name, "STR_STARTS_WITH", prefixes(instant))
        yield wire_constraint(name, "STR_ENDS_WITH", [ZULU])
        return
    yield wire_constraint(
        name,
        constraint.operator,
        constraint.values,
        inverted=constraint.inverted,
        case_insensitive=constraint.case_insensitive,
    )
