"""Who asks, as callers of every protocol say it, and as evaluation wants to know it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from flags import instants
from flags.compilation import SIGNUP_DATE

PLAN, BETA = "plan", "beta"
KNOWN_FIELDS = {
    "userId": "user_id",
    "sessionId": "session_id",
    "remoteAddress": "remote_address",
    "appName": "app_name",
    "currentTime": "current_time",
}
TEXT_LENGTH_MAX = 1000
PROPERTIES_MAX = 100


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks: everything is text, as in Unleash; instants are spelled the way that every engine reads."""

    user_id: str | None = None
    session_id: str | None = None
    remote_address: str | None = None
    app_name: str | None = None
    current_time: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)

    @property
    def signed_up_at(self) -> datetime | None:
        """When the user signed up, None when that is unknown or no instant."""
        text = self.properties.get(SIGNUP_DATE)
        return instants.read(text) if text else None

    def document(self, environment: str) -> dict[str, Any]:
        """The context as Unleash's engines read it."""
        fields = {name: getattr(self, attribute) for name, attribute in KNOWN_FIELDS.items()}
        known = {name: value for name, value in fields.items() if value is not None}
        return {**known, "environment": environment, "properties": dict(self.properties)}


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """What our own directory knows of a user."""

    plan: str
    signed_up_at: datetime | None
    beta: bool = False


def from_fields(fields: Mapping[str, Any]) -> Context:
    """A context from names and values side by side; what Unleash has no name for is a property."""
    texts = {name: text for name, value in fields.items() if (text := as_text(value)) is not None}
    known = {KNOWN_FIELDS[name]: text or None for name, text in texts.items() if name in KNOWN_FIELDS}
    properties = {name: text for name, text in texts.items() if name not in KNOWN_FIELDS and name != "environment"}
    return _spelled(Context(**known, properties=_few(properties)))


def from_nested(value: Mapping[str, Any]) -> Context:
    """A context as Unleash nests it, with `properties` of their own; what is beside them counts as property too."""
    properties = value.get("properties")
    inner = properties if isinstance(properties, Mapping) else {}
    return from_fields({name: each for name, each in value.items() if name != "properties"} | _outside(inner))


def informed(context: Context, known: Acquaintance | None, trusts: Iterable[str]) -> Context:
    """The context with what we know of the user; the caller's word outweighs that only for attributes in `trusts`."""
    trusted = {name: context.properties[name] for name in trusts if name in context.properties}
    ours = _ours(known) if known else {}
    others = {name: text for name, text in context.properties.items() if name not in (SIGNUP_DATE, PLAN, BETA)}
    return replace(context, properties={**others, **ours, **trusted})


def as_text(value: object) -> str | None:
    """A value as SDKs would write it; None for what has no such form."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value[:TEXT_LENGTH_MAX]
        case int() | float():
            return str(value)[:TEXT_LENGTH_MAX]
        case _:
            return None


def _ours(known: Acquaintance) -> dict[str, str]:
    signed_up = {SIGNUP_DATE: instants.written(known.signed_up_at)} if known.signed_up_at else {}
    return {PLAN: known.plan, BETA: "true" if known.beta else "false", **signed_up}


def _outside(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Properties of their own place: one that is named like a field must not become that field."""
    return {name: value for name, value in properties.items() if name not in KNOWN_FIELDS}


def _few(properties: Mapping[str, str]) -> dict[str, str]:
    return dict(list(properties.items())[:PROPERTIES_MAX])


def _spelled(context: Context) -> Context:
    at = context.signed_up_at
    properties = {**context.properties, SIGNUP_DATE: instants.written(at)} if at else context.properties
    current = instants.read(context.current_time) if context.current_time else None
    return replace(context, properties=properties, current_time=instants.written(current or datetime.now(UTC)))
