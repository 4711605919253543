"""`rollout credits usage …`: who consumes most, and one account day by day."""

from datetime import timedelta

import click

from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import echo_result, in_application, json_option
from credits_engine.api.account_usage import DAYS_DEFAULT, DAYS_MAX, TOP_COLUMNS, day_document
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.store import account_usage
from credits_engine.store.account_usage import Days

days_option = click.option(
    "--days", default=DAYS_DEFAULT, show_default=True, type=click.IntRange(1, DAYS_MAX), help="So many, today's too."
)


@click.group("usage")
def usage_group() -> None:
    """Look at the consumption of accounts."""


@usage_group.command("top")
@click.option("--kind", default=None, help="The kind of credits; the first one by default.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@days_option
@json_option
@in_application
def top_command(*, kind: str | None, limit: int, days: int, as_json: bool) -> None:
    """List the accounts that consumed most of a kind of credits."""
    wanted = kind or KINDS[0]
    if wanted not in KINDS:
        raise click.BadParameter(f"there is no kind {wanted!r}; use {', '.join(KINDS)}.", param_hint="--kind")
    with read_only() as session:
        found = account_usage.top_accounts(session, Kind(wanted), _last(days), most=limit)
    lines = [f"{each.credits:>12,}  {each.user_id}  in {each.operations:,} operations" for each in found]
    rows = [dict(zip(TOP_COLUMNS, each, strict=True)) for each in found]
    echo_result(
        {"creditType": wanted, "accounts": rows}, "\n".join(lines or ["Nothing was consumed."]), as_json=as_json
    )


@usage_group.command("show")
@click.argument("user_id", metavar="ACCOUNT")
@days_option
@json_option
@in_application
def show_command(*, user_id: str, days: int, as_json: bool) -> None:
    """Show what an account consumed of each kind, day by day."""
    with read_only() as session:
        found = account_usage.days_of_account(session, user_id, _last(days))
    lines = [f"{each.day}  {each.kind}  {each.credits:,} in {each.operations:,} operations" for each in found]
    document = {"userId": user_id, "days": [day_document(each) for each in found]}
    echo_result(document, "\n".join(lines or ["Nothing was consumed."]), as_json=as_json)


def _last(days: int) -> Days:
    today = clock.now().date()
    return Days(today - timedelta(days=days - 1), today)
