"""`rollout credits reset`, `adjust`, `freeze` and `unfreeze`: the administrator's work at a terminal."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import click
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
    retry_while_locked,
)
from credits_engine.administration import corrections
from credits_engine.administration.corrections import Adjustment, Correction, CorrectionRefused
from credits_engine.api import serializers
from credits_engine.cli.kinds import AmountsCommand
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations.consumption import KeyConflictError, UnknownUserError
from credits_engine.operations.routing import flag_lookup
from credits_engine.store.accounts import EVERYBODY

journal_reason_option = reason_option("Why; kept in the journal and in the audit trail.")
user_argument = click.argument("user_id", metavar="USER")
Answer = TypeVar("Answer")
REFUSALS = (UnknownUserError, UnknownPlanError, CorrectionRefused, KeyConflictError)


@click.command("reset")
@user_argument
@journal_reason_option
@json_option
@in_application
def reset_command(*, user_id: str, reason: str, as_json: bool) -> None:
    """Set the used credits of USER to zero in both current periods."""
    done = _corrected(lambda session, now: corrections.reset(session, user_id, ChangeContext(now, actor(), reason)))
    _show(done, as_json=as_json)


@click.command("adjust", cls=AmountsCommand)
@user_argument
@click.option("--key", help="Makes it happen once, however often it is repeated.")
@click.option("--beyond-limit", is_flag=True, help="Take away more than is left.")
@journal_reason_option
@json_option
@in_application
def adjust_command(
    *, user_id: str, key: str | None, beyond_limit: bool, reason: str, as_json: bool, **by_kind: int
) -> None:
    """Give USER credits back, or take some away."""
    given = Amounts(**by_kind)
    if given == NOTHING:
        raise CommandFailed(f"Give an amount to adjust: {' or '.join(f'--{kind}' for kind in KINDS)}, or more.")

    def adjust(session: Session, now: datetime) -> Correction:
        return corrections.adjust(
            session,
            Adjustment(user_id, given, key=key, beyond_limit=beyond_limit),
            ChangeContext(now, actor(), reason),
            evaluate=flag_lookup(session, now),
        )

    _show(_corrected(adjust), as_json=as_json)


@click.command("freeze")
@click.argument("user_id", metavar="USER", required=False)
@click.option("--everybody", is_flag=True, help="Stop all consumption.")
@journal_reason_option
@json_option
@in_application
def freeze_command(*, user_id: str | None, everybody: bool, reason: str, as_json: bool) -> None:
    """Stop the consumption of USER or of everybody."""
    target = _target(user_id, everybody=everybody)
    changed = _corrected(lambda session, now: corrections.freeze(session, target, ChangeContext(now, actor(), reason)))
    text = (
        f"Consumption is stopped for {_name(target)}: {reason}"
        if changed
        else f"Consumption was already stopped for {_name(target)}."
    )
    echo_result({"userId": target, "frozen": True, "changed": changed}, text, as_json=as_json)


@click.command("unfreeze")
@click.argument("user_id", metavar="USER", required=False)
@click.option("--everybody", is_flag=True, help="End the stop of all consumption.")
@journal_reason_option
@json_option
@in_application
def unfreeze_command(*, user_id: str | None, everybody: bool, reason: str, as_json: bool) -> None:
    """Let USER or everybody consume again."""
    target = _target(user_id, everybody=everybody)
    changed = _corrected(
        lambda session, now: corrections.unfreeze(session, target, ChangeContext(now, actor(), reason))
    )
    text = (
        f"Consumption is allowed again for {_name(target)}."
        if changed
        else f"Consumption was not stopped for {_name(target)}."
    )
    echo_result({"userId": target, "frozen": False, "changed": changed}, text, as_json=as_json)


COMMANDS = (reset_command, adjust_command, freeze_command, unfreeze_command)


def _corrected(use_case: Callable[[Session, datetime], Answer]) -> Answer:
    try:
        return retry_while_locked(lambda session: use_case(session, clock.now()))
    except REFUSALS as error:
        raise CommandFailed(str(error.args[0])) from error


def _target(user_id: str | None, *, everybody: bool) -> str:
    if (user_id is None) is not everybody:
        raise CommandFailed("Name a USER, or write --everybody.")
    return user_id or EVERYBODY


def _name(target: str) -> str:
    return "everybody" if target == EVERYBODY else target


def _show(done: Correction, *, as_json: bool) -> None:
    moved = {name.value: serializers.by_kind(amounts) for name, amounts in done.posted.items()}
    books = "; ".join(f"{name} used {amounts}" for name, amounts in done.posted.items())
    text = f"{done.user_id}: {done.type} as journal row {done.journal_id}; moved {books}."
    document = {"operationId": done.journal_id, "userId": done.user_id, "type": done.type, "posted": moved}
    echo_result(document, text, as_json=as_json)
