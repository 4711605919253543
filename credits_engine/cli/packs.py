"""`rollout credits top-up` and `revoke-pack`: credits bought besides the plan, at a terminal."""

from datetime import UTC, datetime, time, timedelta

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import transaction
from control_plane.platform.runtime.cli_support import (
    ROW_ID,
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
)
from credits_engine.administration import top_ups
from credits_engine.administration.corrections import CorrectionRefused
from credits_engine.administration.top_ups import Purchase, TopUp, UnknownPackError
from credits_engine.api import serializers
from credits_engine.api.requests import AMOUNT_MAX
from credits_engine.cli.corrections import journal_reason_option, user_argument
from credits_engine.cli.kinds import KindType
from credits_engine.engines.amounts import Kind
from credits_engine.operations.consumption import KeyConflictError, LostRaceError, UnknownUserError

DAYS, DAYS_MAX = 365, 3_650
REFUSALS = (UnknownUserError, UnknownPackError, KeyConflictError, LostRaceError, CorrectionRefused)


@click.command("top-up")
@user_argument
@click.argument("kind", type=KindType())
@click.argument("amount", type=click.IntRange(1, AMOUNT_MAX))
@click.option("--days", default=DAYS, type=click.IntRange(1, DAYS_MAX), show_default=True, help="Whole days to last.")
@click.option("--key", help="Makes it happen once, however often it is repeated on the same day.")
@journal_reason_option
@json_option
@in_application
def top_up_command(
    *, user_id: str, kind: Kind, amount: int, days: int, key: str | None, reason: str, as_json: bool
) -> None:
    """Give USER a pack of AMOUNT credits of one kind, spent after the plan's."""
    now = clock.now()
    # Until the end of a day in UTC: repeated on the same day, it is the same purchase.
    expires_at = datetime.combine(now.date() + timedelta(days=days + 1), time(), UTC)
    purchase = Purchase(user_id, kind, amount, expires_at)
    try:
        with transaction() as session:
            done = top_ups.top_up(session, purchase, ChangeContext(now, actor(), reason), key=key)
    except REFUSALS as error:
        raise CommandFailed(str(error.args[0])) from error
    _show(done, as_json=as_json)


@click.command("revoke-pack")
@click.argument("pack_id", metavar="PACK", type=ROW_ID)
@journal_reason_option
@json_option
@in_application
def revoke_command(*, pack_id: int, reason: str, as_json: bool) -> None:
    """End PACK now; what was spent of it stays spent."""
    try:
        with transaction() as session:
            done = top_ups.revoke(session, pack_id, ChangeContext(clock.now(), actor(), reason))
    except REFUSALS as error:
        raise CommandFailed(str(error.args[0])) from error
    _show(done, as_json=as_json)


COMMANDS = (top_up_command, revoke_command)


def _show(done: TopUp, *, as_json: bool) -> None:
    pack = done.pack
    until = serializers.instant(pack.expires_at)
    text = (
        f"{pack.user_id}: pack {pack.id} moved by {done.moved:+,} {pack.kind} as journal row {done.journal_id}; "
        f"{pack.remaining:,} left until {until}."
    )
    document = {"operationId": done.journal_id, "userId": pack.user_id, "moved": done.moved}
    echo_result(document | serializers.pack_document(pack), text, as_json=as_json)
