"""Requests and responses of erasures as OpenAPI models."""

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field

from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation, ResponseModel


class EraseRequest(BaseModel):
    """Whom to erase, by what other names they may be found, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    userId: str = Field(min_length=1, max_length=255)  # noqa: N815 - the JSON name
    also: list[str] = Field(default_factory=list, max_length=20)
    reason: str = Field(min_length=1, max_length=2000)


class ErasureResult(ResponseModel):
    """The pseudonym, the rows by table, and where the person is still named."""

    pseudonym: str
    rows: dict[str, int]
    stillNamed: list[str]  # noqa: N815
    outside: list[str]


class Erasure(ResponseModel):
    """One erasure on record."""

    pseudonym: str
    erasedAt: str  # noqa: N815
    actor: str
    reason: str


class Erasures(ResponseModel):
    """Every erasure on record, oldest first."""

    erasures: list[Erasure]


ROUTES = {
    "erasures.erase_view": Documentation(body=EraseRequest, answers={200: ErasureResult}),
    "erasures.index_view": Documentation(answers={200: Erasures}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
