"""OpenAPI models of the routes of people."""

from pydantic import BaseModel


class GrantDetail(BaseModel):
    """A role for one flag in one environment, `*` for every one."""

    role: str
    flag: str
    environment: str


class PersonDetail(BaseModel):
    """Somebody who may sign in, and what they may do: everywhere by their role, in places by grants."""

    id: int
    username: str
    role: str
    grants: list[GrantDetail]
    active: bool
    secondFactor: bool  # noqa: N815 - the JSON name
    identity: str | None
    createdAt: str  # noqa: N815 - the JSON name


class PersonWithTokens(PersonDetail):
    """A person with the names of the tokens in force that they made."""

    tokens: list[str]


class CreatedPerson(PersonDetail):
    """A person with the password that was made for them; nothing but this answer ever holds it."""

    password: str | None


class People(BaseModel):
    """Everybody who may sign in."""

    people: list[PersonDetail]
