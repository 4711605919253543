"""Request models, checked strictly; every error has a stable code."""

from collections.abc import Iterable, Mapping
from datetime import UTC, timedelta
from typing import Annotated, Any, Never, Self, TypeVar

from flask import request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts, Kind
from credits_engine.engines.receipts import EntryType
from credits_engine.operations.consumption import Operation
from credits_engine.operations.reservations import DEFAULT_TTL

AMOUNT_MAX = 1_000_000
KEY_HEADER = "Idempotency-Key"
PRINTABLE = r"^[^\x00-\x1f\x7f]+$"
CODES: Mapping[str, str] = {
    "userId": "INVALID_USER_ID",
    "creditType": "UNKNOWN_CREDIT_TYPE",
    "amount": "INVALID_AMOUNT",
    "ttlSeconds": "INVALID_TTL",
    "reason": "INVALID_REASON",
    "expiresAt": "INVALID_EXPIRY",
    "packId": "INVALID_PACK",
    "idempotencyKey": "INVALID_IDEMPOTENCY_KEY",
}

Model = TypeVar("Model", bound=BaseModel)
UserId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PRINTABLE)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=PRINTABLE)]
Amount = Annotated[int, Field(ge=1, le=AMOUNT_MAX)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
AmountOrNone = Annotated[int, Field(ge=0, le=AMOUNT_MAX)]
AmountEitherWay = Annotated[int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
UNKNOWN_FIELD = "unknown_field"


def _kinds(joint: str) -> str:
    return f" {joint} ".join(KINDS)


def _known_kind(name: str) -> str:
    if name not in KINDS:
        raise ValueError(f"use {_kinds('or')}")
    return name


def _kind_schema(schema: dict[str, object]) -> None:
    schema["enum"] = [*KINDS]


CreditType = Annotated[
    str, AfterValidator(_known_kind), WithJsonSchema({"type": "string"}), Field(json_schema_extra=_kind_schema)
]


class ConsumeBase(BaseModel):
    """A JSON object without unknown fields, in which `1.0`, `"1"` and `true` are no whole numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


def kind_properties(schema: dict[str, Any]) -> None:
    """Describe the amounts of all kinds as properties of their own."""
    figure = schema["additionalProperties"]
    schema.setdefault("properties", {}).update({kind: {**figure, "title": kind.capitalize()} for kind in KINDS})
    schema["additionalProperties"] = False


class AmountsByKind(ConsumeBase):
    """A JSON object with a field for the amount of each kind of credits beside its own."""

    model_config = ConfigDict(extra="allow", json_schema_extra=kind_properties)
    __pydantic_extra__: dict[str, AmountOrNone | None]

    @model_validator(mode="after")
    def _known_kinds(self) -> Self:
        for name in self.__pydantic_extra__:
            if name not in KINDS:
                raise PydanticCustomError(UNKNOWN_FIELD, "{name}", {"name": name})
        return self

    @property
    def by_kind(self) -> Amounts | None:
        """Return the amounts that are given, None where none is."""
        given = {kind: amount for kind, amount in self.__pydantic_extra__.items() if amount is not None}
        return Amounts(**given) if given else None


class RequestedAmounts(AmountsByKind):
    """Credits of one kind as `creditType` and `amount`, or of several as fields named after them."""

    creditType: CreditType | None = None  # noqa: N815 - the JSON name
    amount: Amount | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.creditType is not None or self.amount is not None) and self.by_kind is not None:
            raise ValueError(f"send creditType and amount, or {_kinds('and')}, not both")
        if (self.creditType is None) != (self.amount is None):
            raise ValueError("creditType and amount belong together; send both")
        if self.amounts == NOTHING:
            raise ValueError(f"no amount is given; send creditType and amount, or {_kinds('and')}")
        return self

    @property
    def amounts(self) -> Amounts:
        """Return the requested amounts by kind."""
        if self.creditType is not None:
            return Amounts(**{self.creditType: self.amount or 0})
        return self.by_kind or NOTHING


class ConsumeRequest(RequestedAmounts):
    """One operation for a user. The key may come in the header instead."""

    userId: UserId  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name


class ReserveRequest(ConsumeRequest):
    """An operation that will take time; after `ttlSeconds` it is given back by itself."""

    ttlSeconds: Annotated[int, Field(ge=1, le=86_400)] = int(DEFAULT_TTL.total_seconds())  # noqa: N815 - the JSON name


class FinalizeRequest(ConsumeBase):
    """The reservation to finalize, by the key it was made under."""

    userId: UserId  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name


class CommitRequest(FinalizeRequest, AmountsByKind):
    """The part of a reservation to charge, by kind; all of it by default."""


class ReleaseRequest(FinalizeRequest):
    """Why nothing of a reservation was needed."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=300)] = "Work not done."


class ReasonedRequest(ConsumeBase):
    """A user and a reason."""

    userId: UserId  # noqa: N815 - the JSON name
    reason: Reason


class AdjustRequest(ReasonedRequest, AmountsByKind):
    """Credits to give back (positive) or take away (negative), by kind."""

    __pydantic_extra__: dict[str, AmountEitherWay | None]
    allowBeyondLimit: bool = False  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.amounts_set == NOTHING:
            raise ValueError(f"no amount is given; send {_kinds('or')}")
        return self

    @property
    def amounts_set(self) -> Amounts:
        """Return the amounts to give back, by kind."""
        return self.by_kind or NOTHING


class TopUpRequest(ReasonedRequest):
    """A pack that was bought: credits of one kind, and until when they can be spent."""

    creditType: CreditType  # noqa: N815 - the JSON name
    amount: Amount
    expiresAt: Annotated[AwareDatetime, Field(strict=False)]  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name

    @property
    def purchase(self) -> Purchase:
        """Return the purchase."""
        return Purchase(self.userId, Kind(self.creditType), self.amount, self.expiresAt.astimezone(UTC))


class RevokeRequest(ConsumeBase):
    """Which pack to end, and why."""

    packId: Annotated[int, Field(ge=1, le=2**63 - 1)]  # noqa: N815 - the JSON name
    reason: Reason


def operation(*, actor: str) -> Operation:
    """Return the operation that this request asks for. Raises Problem."""
    body = parsed(ConsumeRequest, request.get_json())
    return Operation(body.userId, _operation_key(body), body.amounts, actor)


def reservation(*, actor: str) -> tuple[Operation, timedelta]:
    """Return the operation to reserve for, and for how long. Raises Problem."""
    body = parsed(ReserveRequest, request.get_json())
    ttl = timedelta(seconds=body.ttlSeconds)
    return Operation(body.userId, _operation_key(body), body.amounts, actor, EntryType.RESERVE), ttl


def parsed(model: type[Model], value: object) -> Model:
    """Read `value` as `model`. Raises Problem with the code of the first field that is wrong."""
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        _refuse(error, model.model_fields)
    if user_id := getattr(found, "userId", None):
        request_outcomes.set_account(user_id)
    return found


def optional_key(body: AdjustRequest | TopUpRequest) -> str | None:
    """Return the caller's key where one is sent. Raises Problem."""
    return key_of(body) if body.idempotencyKey or KEY_HEADER in request.headers else None


def key_of(body: ConsumeRequest | FinalizeRequest | AdjustRequest | TopUpRequest) -> str:
    """Return the caller's key, from the header or the body; both may be sent where they agree. Raises Problem."""
    in_body = body.idempotencyKey
    in_header = request.headers.get(KEY_HEADER)
    if in_header is None:
        if in_body is None:
            raise Problem(422, "MISSING_IDEMPOTENCY_KEY", f"Send a key of your own in {KEY_HEADER} or idempotencyKey.")
        return in_body
    if in_body is not None and in_body != in_header:
        raise Problem(422, "IDEMPOTENCY_KEY_MISMATCH", f"{KEY_HEADER} and idempotencyKey differ; send one of them.")
    return _checked(in_header)


def _operation_key(body: ConsumeRequest) -> str:
    key = key_of(body)
    request_outcomes.set_operation(key)
    return key


def _refuse(error: ValidationError, fields: Iterable[str]) -> Never:
    first = error.errors(include_url=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == UNKNOWN_FIELD or field not in (*fields, *KINDS, ""):
        unknown = first["msg"] if first["type"] == UNKNOWN_FIELD else field
        raise Problem(422, "UNKNOWN_FIELD", f"{unknown!r} is not a field of this request; leave it out.")
    if first["type"] == "missing":
        raise Problem(422, "MISSING_FIELD", f"{field} is missing; add it.")
    message = str(first["msg"]).removeprefix("Value error, ")
    if not field:
        raise Problem(422, "INVALID_BODY", f"The request can't be used: {message}.")
    code = "INVALID_AMOUNT" if field in KINDS else CODES.get(field, "INVALID_BODY")
    raise Problem(422, code, f"{field} is {_shortened(first['input'])}: {message}.")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _checked(key: str) -> str:
    if not key.strip() or len(key) > 200 or not key.isprintable():
        raise Problem(422, "INVALID_IDEMPOTENCY_KEY", f"{KEY_HEADER} needs 1 to 200 printable characters.")
    return key
