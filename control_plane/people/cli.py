"""`rollout account` and `rollout token`: who may sign in, and which services may call."""

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click
from sqlalchemy.orm import Session

from control_plane.platform import clock, settings
from control_plane.platform.auth import accounts, second_factor, tokens
from control_plane.platform.auth.grants import parse_grant, person_document
from control_plane.platform.auth.token_makers import TokensOfMaker
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Person, Role, Token, TokenType
from control_plane.platform.runtime.cli_support import (
    ROW_ID,
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)

ROLES = click.Choice([role.value for role in Role])
optional_reason_option = click.option("--reason", default="", help="Why; kept in the audit trail.")


@click.group("account")
def user() -> None:
    """Add, change and lock people who may sign in."""


@user.command("list")
@json_option
@in_application
def user_list(*, as_json: bool) -> None:
    """Show everybody with what they may do."""
    with read_only() as session:
        people = accounts.list_people(session)
    documents = [person_document(person) for person in people]
    echo_result({"people": documents}, "\n".join(map(_line, people)) or "Nobody yet.", as_json=as_json)


@user.command("add")
@click.argument("username")
@click.option("--role", type=ROLES, default="viewer", show_default=True, help="What they may do everywhere.")
@json_option
@in_application
def user_add(*, username: str, role: str, as_json: bool) -> None:
    """Let USERNAME sign in; prints a password once."""
    with transaction() as session:
        password = accounts.add_person(session, username, role, now=clock.now(), actor=actor())
    text = f"{username} may sign in as {role} with the password {password}   (shown once)"
    echo_result({"username": username, "role": role, "password": password}, text, as_json=as_json)


@user.command("role")
@click.argument("username")
@click.argument("role", type=ROLES)
@json_option
@in_application
def user_role(*, username: str, role: str, as_json: bool) -> None:
    """Give USERNAME another ROLE everywhere; they sign in again, and who is no admin any more loses admin tokens."""
    _change_with_tokens(username, accounts.change_role, as_json=as_json, role=role)


@user.command("grants")
@click.argument("username")
@click.argument("grants", nargs=-1)
@optional_reason_option
@json_option
@in_application
def user_grants(*, username: str, grants: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Give USERNAME these GRANTS besides their role, each ROLE:FLAG:ENVIRONMENT with * for every one; none ends all."""
    wanted = [parse_grant(each) for each in grants]
    _change(username, accounts.change_grants, as_json=as_json, grants=wanted, reason=reason)


@user.command("password")
@click.argument("username")
@json_option
@in_application
def user_password(*, username: str, as_json: bool) -> None:
    """Give USERNAME a new password, printed once, and end their sessions."""
    password = secrets.token_urlsafe(accounts.PASSWORD_BYTES)
    with transaction() as session:
        person = _named(session, username)
        accounts.change_password(session, person.id, password=password, now=clock.now(), actor=actor())
    text = f"The password of {person.username} is {password}   (shown once)"
    echo_result({"username": person.username, "password": password}, text, as_json=as_json)


@user.command("reset-second-factor")
@click.argument("username")
@optional_reason_option
@json_option
@in_application
def user_reset_second_factor(*, username: str, reason: str, as_json: bool) -> None:
    """Let the password alone sign USERNAME in, who has lost their device."""

    def reset(session: Session, person_id: int, **context: Any) -> None:
        second_factor.reset(session, accounts.find_person(session, person_id), **context)

    _change(username, reset, as_json=as_json, reason=reason)


@user.command("lock")
@click.argument("username")
@optional_reason_option
@json_option
@in_application
def user_lock(*, username: str, reason: str, as_json: bool) -> None:
    """Lock USERNAME out, end their sessions and the admin tokens they made; name the tokens that services keep."""
    _change_with_tokens(username, accounts.disable_person, as_json=as_json, reason=reason)


@user.command("unlock")
@click.argument("username")
@optional_reason_option
@json_option
@in_application
def user_unlock(*, username: str, reason: str, as_json: bool) -> None:
    """Let USERNAME sign in again."""
    _change(username, accounts.enable_person, as_json=as_json, reason=reason)


@user.command("sign-out")
@click.argument("username")
@json_option
@in_application
def user_sign_out(*, username: str, as_json: bool) -> None:
    """End every session of USERNAME."""
    _change(username, accounts.end_sessions, as_json=as_json)


@click.group("token")
def token() -> None:
    """Make and revoke tokens for services, SDKs and webhooks."""


@token.command("create")
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["client", "frontend", "admin", "service"]), required=True)
@click.option("--environment", help="The environment it is for. Default: that of this installation.")
@click.option("--role", type=ROLES, help="What an admin token may do; default: everything.")
@click.option("--flag", "flags", multiple=True, help="A flag that an admin token is held to; repeatable.")
@click.option("--project", "projects", multiple=True, help="A project whose flags the token shows; repeatable.")
@click.option(
    "--days",
    type=click.IntRange(1, settings.TOKEN_DAYS_LONGEST),
    help="In how many days it ends; default: when it is revoked.",
)
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    help="A user attribute (signupDate, plan, beta) that its caller may set over the directory's; repeatable.",
)
@json_option
@in_application
def token_create(
    *,
    name: str,
    kind: str,
    environment: str | None,
    role: str | None,
    flags: tuple[str, ...],
    projects: tuple[str, ...],
    days: int | None,
    trusted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a token called NAME; prints it once."""
    now = clock.now()
    with transaction() as session:
        secret = tokens.create_token(
            session,
            tokens.NewToken(
                name,
                kind,
                environment=environment or settings.current().environment,
                expires_at=now + timedelta(days=days) if days else None,
                trusted_attributes=trusted or TokenType(kind).trusted_by_default,
                role=role or "",
                flags=flags,
                projects=projects,
            ),
            now=now,
            actor=actor(),
        )
    echo_result({"name": name, "type": kind, "token": secret}, f"{secret}   (shown once)", as_json=as_json)


@token.command("list")
@json_option
@in_application
def token_list(*, as_json: bool) -> None:
    """Show every token, without what would open anything."""
    with read_only() as session:
        found = tokens.list_tokens(session)
    lines = [f"{each.id:>5}  {each.name}  {each.type}  {each.environment}  {_state(each)}" for each in found]
    documents = [{"id": each.id, "name": each.name, "type": each.type, "state": _state(each)} for each in found]
    echo_result({"tokens": documents}, "\n".join(lines) or "No token yet.", as_json=as_json)


@token.command("revoke")
@click.argument("token_id", type=ROW_ID)
@reason_option()
@json_option
@in_application
def token_revoke(*, token_id: int, reason: str, as_json: bool) -> None:
    """End the token with the number TOKEN_ID, everywhere within a second."""
    with transaction() as session:
        tokens.revoke_token(session, token_id, now=clock.now(), actor=actor(), reason=reason)
    echo_result({"revoked": token_id}, f"The token {token_id} is revoked.", as_json=as_json)


def _change(username: str, use_case: Callable[..., object], *, as_json: bool, **options: Any) -> None:
    with transaction() as session:
        person = _named(session, username)
        use_case(session, person.id, now=clock.now(), actor=actor(), **options)
        changed = accounts.find_person(session, person.id)
    echo_result(person_document(changed), _line(changed), as_json=as_json)


def _change_with_tokens(
    username: str, use_case: Callable[..., TokensOfMaker], *, as_json: bool, **options: Any
) -> None:
    with transaction() as session:
        person = _named(session, username)
        of_maker = use_case(session, person.id, now=clock.now(), actor=actor(), **options)
        changed = accounts.find_person(session, person.id)
    named = {"tokensRevoked": of_maker.revoked, "tokensInForce": of_maker.in_force}
    text = "\n".join(filter(None, (_line(changed), of_maker.sentence)))
    echo_result({**person_document(changed), **named}, text, as_json=as_json)


def _named(session: Session, username: str) -> Person:
    person, _ = accounts.credentials_for(session, username)
    if person is None:
        raise CommandFailed(f"There is nobody called {username[:64]!r}; `rollout account list` names everybody.")
    return person


def _line(person: Person) -> str:
    places = [f"{each.role}:{each.flag}:{each.environment}" for each in person.grants]
    return "  ".join([person.username, person.role, *places, *(["locked out"] if person.disabled_at else [])])


def _state(found: Token) -> str:
    return "revoked" if found.revoked_at else "in force"
