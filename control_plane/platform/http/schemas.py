"""OpenAPI models of the routes of health."""

from pydantic import BaseModel


class Liveness(BaseModel):
    """The process answers."""

    status: str


class Readiness(BaseModel):
    """The readiness checks by name."""

    status: str
    checks: dict[str, str]
