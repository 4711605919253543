"""`rollout credits members …`: who spends from an organisation's account."""

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from credits_engine.administration import organisations
from credits_engine.api.members import document_of
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.memberships import Membership
from credits_engine.store import members


@click.group("members")
def members_group() -> None:
    """Add and remove members of organisations: users who spend from an account that is not their own."""


@members_group.command("list")
@click.argument("account_id", metavar="ACCOUNT")
@json_option
@in_application
def list_command(*, account_id: str, as_json: bool) -> None:
    """List the members of ACCOUNT and the limits of each."""
    with read_only() as session:
        found = members.of_account(session, account_id, clock.now())
    document = {"members": [document_of(each, Amounts()) for each in found]}
    echo_result(document, "\n".join(map(_line, found)) or f"{account_id} has no members.", as_json=as_json)


@members_group.command("add")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("user_id", metavar="USER")
@click.option("--limit", "limits", multiple=True, metavar="KIND=AMOUNT", help="At most so much of a kind in a period.")
@reason_option()
@json_option
@in_application
def add_command(*, account_id: str, user_id: str, limits: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Let USER spend from ACCOUNT, or change their limits. It counts ten seconds later."""
    try:
        with transaction() as session:
            found = organisations.add(session, user_id, account_id, _limits(limits), _change(reason))
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result(document_of(found, Amounts()), _line(found), as_json=as_json)


@members_group.command("remove")
@click.argument("user_id", metavar="USER")
@reason_option()
@json_option
@in_application
def remove_command(*, user_id: str, reason: str, as_json: bool) -> None:
    """Let USER spend from their own account again. It counts ten seconds later."""
    try:
        with transaction() as session:
            found = organisations.remove(session, user_id, _change(reason))
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result(
        document_of(found, Amounts()), f"{user_id} is no member of {found.account_id} any more.", as_json=as_json
    )


def _change(reason: str) -> ChangeContext:
    return ChangeContext(clock.now(), actor(), reason)


def _limits(written: tuple[str, ...]) -> dict[str, int]:
    try:
        return {kind: int(amount) for kind, amount in (each.split("=", 1) for each in written)}
    except ValueError as error:
        raise CommandFailed("Write a limit as KIND=AMOUNT, such as analysis=100.") from error


def _line(member: Membership) -> str:
    limits = ", ".join(f"at most {limit:,} {kind}" for kind, limit in member.limits.items()) or "no limit of their own"
    return f"  {member.user_id} of {member.account_id} from {member.starts_at:%Y-%m-%dT%H:%M:%SZ}: {limits}"
