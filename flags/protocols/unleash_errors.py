"""Refusals in Unleash's form, which its SDKs log."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Response, json, request
from pydantic import BaseModel, ValidationError

P = ParamSpec("P")
M = TypeVar("M", bound=BaseModel)


class BadRequest(Exception):  # noqa: N818 - named after what it becomes
    """A request that can't be used: each mistake with the field it is about."""

    def __init__(self, *details: tuple[str, str]) -> None:
        super().__init__("; ".join(message for _, message in details))
        self.details = details


def unleash_error_handler(view: Callable[P, object]) -> Callable[P, Any]:
    """Answer a request that can't be used as Unleash does."""

    @wraps(view)
    def answered(*arguments: P.args, **options: P.kwargs) -> object:
        try:
            return view(*arguments, **options)
        except BadRequest as refused:
            return error_response(400, "BadDataError", str(refused), refused.details)

    return answered


def error_response(status: int, name: str, message: str, details: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the document of a refusal."""
    named = [{"message": text, **({"path": path} if path else {})} for path, text in details] or [{"message": message}]
    document = {"id": str(uuid.uuid4()), "name": name, "message": message, "details": named}
    return Response(json.dumps(document), status, content_type="application/json")


def parse_body(model: type[M]) -> M:
    """Return the request's body; raises BadRequest naming the fields that don't fit."""
    value = request.get_json(force=True)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_context=False, include_input=False)
        details = [(".".join(map(str, each["loc"])), each["msg"]) for each in mistakes]
        raise BadRequest(*details) from error
