"""Request models, checked strictly; every error has a stable code."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Annotated, Any, Literal, Never, Self, TypeVar

from flask import request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import Problem
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.decisions import Amounts
from credits_engine.engines.plans import Kind
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
    "analysis": "INVALID_AMOUNT",
    "roast": "INVALID_AMOUNT",
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


class ConsumeBase(BaseModel):
    """A JSON object without unknown fields, in which `1.0`, `"1"` and `true` are no whole numbers."""

    model_config = ConfigDict(extra="forbid", strict=True)


class RequestedAmounts(ConsumeBase):
    """Credits of one kind as `creditType` and `amount`, or of both kinds as `analysis` and `roast`."""

    creditType: Literal["analysis", "roast"] | None = None  # noqa: N815 - the JSON name
    amount: Amount | None = None
    analysis: AmountOrNone | None = None
    roast: AmountOrNone | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        single, mixed = (self.creditType, self.amount), (self.analysis, self.roast)
        if any(part is not None for part in single) and any(part is not None for part in mixed):
            raise ValueError("send creditType and amount, or analysis and roast, not both")
        if (self.creditType is None) != (self.amount is None):
            raise ValueError("creditType and amount belong together; send both")
        if not (self.amount or self.analysis or self.roast):
            raise ValueError("nothing is asked for; send creditType and amount, or analysis and roast")
        return self

    @property
    def amounts(self) -> Amounts:
        """Return the requested amounts by kind."""
        if self.creditType is not None:
            return Amounts(**{self.creditType: self.amount or 0})
        return Amounts(self.analysis or 0, self.roast or 0)


class ConsumeRequest(RequestedAmounts):
    """One operation for a user. The key may come in the header instead."""

    userId: UserId  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name


class ReserveRequest(ConsumeRequest):
    """An operation that will take time; after `ttlSeconds` it is given back by itself."""

    ttlSeconds: Annotated[int, Field(ge=1, le=86_400)] = int(DEFAULT_TTL.total_seconds())  # noqa: N815 - the JSON name


class FinalizeRequest(ConsumeBase):
    """Which reservation to settle, by the key it was made under."""

    userId: UserId  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name


class CommitRequest(FinalizeRequest):
    """The part of a reservation to charge, by kind; all of it by default."""

    analysis: AmountOrNone | None = None
    roast: AmountOrNone | None = None

    @property
    def amounts(self) -> Amounts | None:
        """Return the amounts to charge, None for everything."""
        if self.analysis is None and self.roast is None:
            return None
        return Amounts(self.analysis or 0, self.roast or 0)


class ReleaseRequest(FinalizeRequest):
    """Why nothing of a reservation was needed."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=300)] = "Work not done."


class ReasonedRequest(ConsumeBase):
    """A user and a reason."""

    userId: UserId  # noqa: N815 - the JSON name
    reason: Reason


class AdjustRequest(ReasonedRequest):
    """Credits to give back (positive) or take away (negative), by kind."""

    analysis: Annotated[int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] = 0
    roast: Annotated[int, Field(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] = 0
    allowBeyondLimit: bool = False  # noqa: N815 - the JSON name
    idempotencyKey: Key | None = None  # noqa: N815 - the JSON name

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.analysis or self.roast):
            raise ValueError("nothing is to be adjusted; send analysis, roast or both")
        return self

    @property
    def amounts_set(self) -> Amounts:
        """Return the amounts to give back, by kind."""
        return Amounts(self.analysis, self.roast)


class TopUpRequest(ReasonedRequest):
    """A pack that was bought: credits of one kind, and until when they can be spent."""

    creditType: Literal["analysis", "roast"]  # noqa: N815 - the JSON name
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
    """The operation that this request asks for. Raises Problem."""
    body = parsed(ConsumeRequest, request.get_json())
    return Operation(body.userId, _operation_key(body), body.amounts, actor)


def reservation(*, actor: str) -> tuple[Operation, timedelta]:
    """The operation to reserve for, and for how long. Raises Problem."""
    body = parsed(ReserveRequest, request.get_json())
    ttl = timedelta(seconds=body.ttlSeconds)
    return Operation(body.userId, _operation_key(body), body.amounts, actor, EntryType.RESERVE), ttl


def parsed(model: type[Model], value: Any) -> Model:
    """`value` as `model`. Raises Problem with the code of the first field that is wrong."""
    try:
        found = model.model_validate(value)
    except ValidationError as error:
        _refuse(error)
    if user_id := getattr(found, "userId", None):
        request_outcomes.set_account(user_id)
    return found


def optional_key(body: AdjustRequest | TopUpRequest) -> str | None:
    """The caller's key where one is sent. Raises Problem."""
    return key_of(body) if body.idempotencyKey or KEY_HEADER in request.headers else None


def key_of(body: ConsumeRequest | FinalizeRequest | AdjustRequest | TopUpRequest) -> str:
    """The caller's key, from the header or the body; both may be sent where they agree. Raises Problem."""
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


def _refuse(error: ValidationError) -> Never:
    first = error.errors(include_url=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        raise Problem(422, "UNKNOWN_FIELD", f"{field!r} is not a field of this request; leave it out.")
    if first["type"] == "missing":
        raise Problem(422, "MISSING_FIELD", f"{field} is missing; add it.")
    message = str(first["msg"]).removeprefix("Value error, ")
    if not field:
        raise Problem(422, "INVALID_BODY", f"The request can't be used: {message}.")
    raise Problem(422, CODES.get(field, "INVALID_BODY"), f"{field} is {_shortened(first['input'])}: {message}.")


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _checked(key: str) -> str:
    if not key.strip() or len(key) > 200 or not key.isprintable():
        raise Problem(422, "INVALID_IDEMPOTENCY_KEY", f"{KEY_HEADER} needs 1 to 200 printable characters.")
    return key
