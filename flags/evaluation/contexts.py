"""The evaluation context: parsed from every protocol into one form."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flags.evaluation import timestamps
from flags.evaluation.rollout_flag import EvaluationContext

PLAN, BETA = "plan", "beta"
SIGNUP_DATE = "signupDate"
ATTRIBUTES = (SIGNUP_DATE, PLAN, BETA)
"""What our own directory knows of users, by the names that callers use."""
USER_ID = "userId"
KNOWN_FIELDS = {
    USER_ID: "user_id",
    "sessionId": "session_id",
    "remoteAddress": "remote_address",
    "appName": "app_name",
    "currentTime": "current_time",
}
NESTED = "properties["


@dataclass(frozen=True, slots=True)
class Context:
    """The context of an evaluation, all text as in Unleash; timestamps in the form that every engine reads."""

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
        return timestamps.parse_timestamp(text) if text else None

    def to_json(self, environment: str, now: datetime) -> dict[str, object]:
        """Return the context as Unleash's engines read it; `now` where the caller said no other time."""
        fields = {name: getattr(self, attribute) for name, attribute in KNOWN_FIELDS.items()}
        known = {name: value for name, value in fields.items() if value is not None}
        # Named, so that the engine does not read a clock of its own: all parts of an answer are of one instant.
        known.setdefault("currentTime", timestamps.format_timestamp(now))
        return {**known, "environment": environment, "properties": dict(self.properties)}


@dataclass(frozen=True, slots=True)
class KnownAttributes:
    """A user's attributes in our own directory."""

    plan: str
    signed_up_at: datetime | None
    beta: bool = False


def from_fields(fields: Mapping[str, object]) -> Context:
    """Return a context from names and values side by side; what Unleash has no name for is a property."""
    known: dict[str, str | None] = {}
    properties: dict[str, str] = {}
    for name, value in fields.items():
        text = as_text(value)
        if text is None:
            continue
        if name in KNOWN_FIELDS:
            known[KNOWN_FIELDS[name]] = text or None
        # The environment is the token's, whatever the caller says.
        elif name != "environment":
            properties[name] = _instant(text) if name == SIGNUP_DATE else text
    if current_time := known.get("current_time"):
        known["current_time"] = _instant(current_time)
    return Context(**known, properties=properties)


def from_nested(value: Mapping[str, object]) -> Context:
    """Return a context as Unleash nests it, with `properties` of their own.

    What is beside them counts as property too.
    """
    properties = value.get("properties")
    inner = properties if isinstance(properties, Mapping) else {}
    return from_fields({name: each for name, each in value.items() if name != "properties"} | _from_caller(inner))


def from_query(arguments: Mapping[str, str]) -> Context:
    """Return the context of a query string, in which `properties[plan]=pro` is a property."""
    nested = {
        name.removeprefix(NESTED).removesuffix("]"): value
        for name, value in arguments.items()
        if name.startswith(NESTED) and name.endswith("]")
    }
    beside = {name: value for name, value in arguments.items() if not name.startswith(NESTED)}
    return from_nested({**beside, "properties": nested})


def enrich_context(context: Context, known: KnownAttributes | None, trusts: Collection[str]) -> Context:
    """Return the context with what we know of the user.

    The caller's word outweighs that only for attributes in `trusts`.
    """
    given = context.properties
    properties = {name: text for name, text in given.items() if name in trusts or name not in ATTRIBUTES}
    if known is not None:
        properties = _from_directory(known) | properties
    return Context(
        context.user_id,
        context.session_id,
        context.remote_address,
        context.app_name,
        context.current_time,
        properties,
    )


def known_context(user_id: str, known: KnownAttributes) -> EvaluationContext:
    """Return the context of a user of whom nobody says more than our directory."""
    return EvaluationContext(user_id, known.signed_up_at, _from_directory(known))


def as_text(value: object) -> str | None:
    """Return a value as SDKs would write it; None for what has no such form."""
    match value:
        # Before int, of which it is a subclass.
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            return None


def _from_directory(known: KnownAttributes) -> dict[str, str]:
    signed_up = {SIGNUP_DATE: timestamps.format_timestamp(known.signed_up_at)} if known.signed_up_at else {}
    return {PLAN: known.plan, BETA: "true" if known.beta else "false", **signed_up}


def _from_caller(properties: Mapping[str, object]) -> dict[str, object]:
    """Keep properties in a place of their own: one that is named like a field must not become that field."""
    return {name: value for name, value in properties.items() if name not in KNOWN_FIELDS}


def _instant(text: str) -> str:
    """Return an instant in the spelling that every engine reads; as it was where it is none."""
    at = timestamps.parse_timestamp(text)
    return timestamps.format_timestamp(at) if at else text
