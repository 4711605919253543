"""The description of every route for programs, at `/openapi/openapi.json`: made from the routes themselves.

A route is in it because it is mounted; `documented` adds what a function's name and docstring don't tell.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import TypeVar

from flask import Blueprint, Flask, current_app, jsonify
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from control_plane.platform.problems import MEDIA_TYPE

bp = Blueprint("openapi", __name__, url_prefix="/openapi")

PREFIXES = ("/api/", "/ofrep/", "/edge/", "/openapi/", "/healthz", "/readyz", "/metrics", "/webhooks/")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON = "application/json"
REFERENCE = "#/components/schemas/{model}"
ATTRIBUTE = "__documentation__"
ARGUMENT = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")
PROBLEM: dict[str, object] = {
    "type": "object",
    "description": "A problem document (RFC 9457); `code` never changes, `detail` says what to do.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
SECURITY: dict[str, object] = {
    "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "A token, raw or as Bearer."},
    "session": {"type": "apiKey", "in": "cookie", "name": "rollout_session", "description": "Somebody signed in."},
}

V = TypeVar("V", bound=Callable[..., object])
Content = type[BaseModel] | str | None
"""A model, a media type for what is no JSON, or None for no body."""
ResponseModels = Mapping[int, Content | tuple[Content, ...]]
"""By status; several contents where the caller may choose."""


class ResponseModel(BaseModel):
    """A response, field by field; snake case here, camel case on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, serialize_by_alias=True)


class FreeFormObject(BaseModel):
    """A JSON object whose fields are the caller's own."""

    model_config = ConfigDict(extra="allow")


@dataclass(frozen=True, slots=True)
class Documentation:
    """The request and the responses of a route."""

    body: type[BaseModel] | None = None
    body_is_optional: bool = False
    query: Mapping[str, str] = field(default_factory=dict)
    answers: ResponseModels = field(default_factory=dict)


def openapi_doc(
    *,
    body: type[BaseModel] | None = None,
    body_is_optional: bool = False,
    query: Mapping[str, str] | None = None,
    answers: ResponseModels | None = None,
) -> Callable[[V], V]:
    """Tell what a view takes and gives; put it anywhere among the view's decorators."""

    def decorate(view: V) -> V:
        setattr(view, ATTRIBUTE, Documentation(body, body_is_optional, query or {}, answers or {}))
        return view

    return decorate


def describe(app: Flask, routes: Mapping[str, Documentation]) -> None:
    """Tell what views take and give, by endpoint, where that is too long to stand beside them. What they say stays."""
    for endpoint, added in routes.items():
        view = app.view_functions[endpoint]
        documentation: Documentation = getattr(view, ATTRIBUTE, Documentation())
        query = {**documentation.query, **added.query}
        merged = Documentation(
            added.body or documentation.body, added.body_is_optional, query, added.answers or documentation.answers
        )
        setattr(view, ATTRIBUTE, merged)


class Description(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, object]
    paths: dict[str, object]
    components: dict[str, object]
    security: list[dict[str, object]]


@bp.get("/openapi.json")
@openapi_doc(answers={200: Description})
def show() -> ResponseReturnValue:
    """Return this description."""
    return jsonify(document(current_app))


def document(app: Flask) -> dict[str, object]:
    """Return the OpenAPI 3.1 description of the application's routes for programs."""
    paths: dict[str, dict[str, object]] = {}
    described = [(rule, method) for rule in app.url_map.iter_rules() for method in _methods(rule)]
    for rule, method in sorted(described, key=lambda each: (each[0].rule, each[1])):
        path = ARGUMENT.sub(r"{\1}", rule.rule)
        paths.setdefault(path, {})[method.lower()] = _operation(app, rule, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rollout control plane",
            "version": "1",
            "description": "Rollouts, flags, credits, alerts. A refusal is a problem document with a stable code.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(app), "securitySchemes": SECURITY},
        "security": [{"token": []}, {"session": []}],
    }


def init_app(app: Flask) -> None:
    """Mount the route."""
    app.register_blueprint(bp)


def _methods(rule: Rule) -> Iterator[str]:
    if rule.rule.startswith(PREFIXES):
        yield from (method for method in METHODS if method in (rule.methods or ()))


def _operation(app: Flask, rule: Rule, method: str) -> dict[str, object]:
    view = app.view_functions[rule.endpoint]
    documentation: Documentation = getattr(view, ATTRIBUTE, Documentation())
    paragraphs = (getdoc(view) or rule.endpoint).split("\n", 1)
    operation: dict[str, object] = {
        "operationId": f"{rule.endpoint}.{method.lower()}",
        "tags": [rule.endpoint.split(".", 1)[0]],
        "summary": paragraphs[0],
        "parameters": [*_path_parameters(rule), *_query_parameters(documentation)],
        "responses": _responses(documentation),
    }
    if len(paragraphs) > 1:
        operation["description"] = paragraphs[1].strip()
    if documentation.body is not None:
        content = {JSON: {"schema": _reference(documentation.body)}}
        operation["requestBody"] = {"required": not documentation.body_is_optional, "content": content}
    return operation


def _path_parameters(rule: Rule) -> Iterator[dict[str, object]]:
    for name, converter in rule._converters.items():  # noqa: SLF001 - werkzeug has no public way to them
        kind = "integer" if type(converter).__name__ == "IntegerConverter" else "string"
        schema = {"type": kind, **({"minLength": 1} if kind == "string" else {"minimum": 0})}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(documentation: Documentation) -> Iterator[dict[str, object]]:
    for name, description in documentation.query.items():
        yield {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _responses(documentation: Documentation) -> dict[str, object]:
    answers = {str(status): _response(content) for status, content in (documentation.answers or {200: JSON}).items()}
    problem = {"schema": {"$ref": REFERENCE.format(model="Problem")}}
    content = {MEDIA_TYPE: problem, JSON: {"schema": {"type": "object"}}}
    return {**answers, "default": {"description": "A refusal; to SDKs in their own words.", "content": content}}


def _response(contents: Content | tuple[Content, ...]) -> dict[str, object]:
    if contents is None:
        return {"description": "Done."}
    each = contents if isinstance(contents, tuple) else (contents,)
    return {"description": "The answer.", "content": dict(map(_content, each))}


def _content(content: Content) -> tuple[str, dict[str, object]]:
    if isinstance(content, str):
        return content, {"schema": {"type": "object"} if content == JSON else {"type": "string"}}
    assert content is not None, "an answer without a body has nothing to choose from"
    return JSON, {"schema": _reference(content)}


def _is_model(content: Content) -> bool:
    return isinstance(content, type)


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=model.__name__)}


def _schemas(app: Flask) -> dict[str, object]:
    documented = [getattr(view, ATTRIBUTE, Documentation()) for view in app.view_functions.values()]
    bodies = {each.body for each in documented if each.body}
    given = (content for each in documented for content in each.answers.values())
    answers = {
        each for content in given for each in (content if isinstance(content, tuple) else (content,)) if _is_model(each)
    }
    modes = [(model, "validation") for model in bodies] + [(model, "serialization") for model in answers - bodies]
    _, definitions = models_json_schema(modes, ref_template=REFERENCE)  # type: ignore[arg-type]
    return {**definitions.get("$defs", {}), "Problem": PROBLEM}
