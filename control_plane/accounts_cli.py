"""`rollout account` and `rollout token`: who may sign in, and which services may call."""

from datetime import UTC, datetime

import click

from control_plane.platform import settings
from control_plane.platform.auth import accounts
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import TokenType
from control_plane.platform.runtime.cli_support import actor, echo_result, in_application, json_option


@click.group("account")
def user() -> None:
    """People who may sign in."""


@user.command("add")
@click.argument("username")
@click.option("--role", type=click.Choice(["viewer", "operator", "owner"]), default="viewer", show_default=True)
@json_option
@in_application
def user_add(*, username: str, role: str, as_json: bool) -> None:
    """Let USERNAME sign in; prints a password once."""
    with transaction() as session:
        password = accounts.add_person(session, username, role, now=datetime.now(UTC), actor=actor())
    text = f"{username} may sign in as {role} with the password {password}   (shown once)"
    echo_result({"username": username, "role": role, "password": password}, text, as_json=as_json)


@click.group("token")
def token() -> None:
    """Tokens for services, SDKs and webhooks."""


@token.command("create")
@click.argument("name")
@click.option("--type", "kind", type=click.Choice(["client", "frontend", "admin", "service"]), required=True)
@click.option("--environment", help="The environment it is for. Default: that of this installation.")
@click.option(
    "--trust",
    "trusted",
    multiple=True,
    help="A user attribute (signupDate, plan, beta) that its caller may set over the directory's; repeatable.",
)
@json_option
@in_application
def token_create(*, name: str, kind: str, environment: str | None, trusted: tuple[str, ...], as_json: bool) -> None:
    """Make a token called NAME; prints it once."""
    with transaction() as session:
        secret = accounts.create_token(
            session,
            name,
            kind,
            environment=environment or settings.current().environment,
            now=datetime.now(UTC),
            actor=actor(),
            trusted_attributes=trusted or TokenType(kind).trusted_by_default,
        )
    echo_result({"name": name, "type": kind, "token": secret}, f"{secret}   (shown once)", as_json=as_json)
