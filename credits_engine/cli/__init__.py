"""`rollout credits …`: what an operator asks of the credits at a terminal."""

import sys

import click

from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.runtime.cli_support import CommandFailed, echo_result, in_application, json_option
from credits_engine.api import serializers
from credits_engine.billing.cli import billing_group
from credits_engine.cli import corrections as corrections
from credits_engine.cli import migration as migration
from credits_engine.cli import packs as packs
from credits_engine.cli import recovery, review
from credits_engine.cli import retirement as retirement
from credits_engine.cli.catalogue import catalogue_group
from credits_engine.cli.distribution import check_distribution_command, distribute_command
from credits_engine.cli.members import members_group
from credits_engine.cli.usage import usage_group
from credits_engine.cli.users import users_group
from credits_engine.engines.amounts import KINDS, Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.packs import Pack
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.load_test.cli import load_test_command
from credits_engine.operations import account_books
from credits_engine.operations.routing import flag_lookup
from credits_engine.reconciliation import scheduled
from credits_engine.remediation.cli import after_rollback_group
from credits_engine.store import accounts
from credits_engine.store.reconciliation import BookTotal

LISTED = 20


@click.group("credits")
def credits_group() -> None:
    """Look at the credits of the product's users and correct them: both books, and the journal behind them."""


def register(group: click.Group) -> None:
    """Add `rollout credits …`."""
    for part in (corrections, packs, migration, retirement, review):
        for command in part.COMMANDS:
            credits_group.add_command(command)
    credits_group.add_command(after_rollback_group)
    credits_group.add_command(catalogue_group)
    credits_group.add_command(members_group)
    credits_group.add_command(usage_group)
    for command in recovery.COMMANDS:
        group.add_command(command)
    if isinstance(schema := group.commands.get("db"), click.Group):
        schema.add_command(check_distribution_command)
        schema.add_command(distribute_command)
    group.add_command(credits_group)
    group.add_command(billing_group)
    group.add_command(load_test_command)
    group.add_command(users_group)


@credits_group.command("status")
@click.argument("user_id", metavar="USER")
@json_option
@in_application
def status_command(*, user_id: str, as_json: bool) -> None:
    """Show both books of USER, who serves now, and why."""
    now = clock.now()
    with read_only() as session:
        found = accounts.find(session, user_id)
        if found is None:
            raise CommandFailed(f"User {user_id!r} is not in the directory; `rollout directory import` adds users.")
        account, _ = found
        try:
            loaded = account_books.read_books(session, account, now)
        except UnknownPlanError as error:
            raise CommandFailed(str(error)) from error
        evaluation = flag_lookup(session, now)(account)
    document = {
        "userId": user_id,
        "plan": account.plan,
        "frozen": account.frozen,
        "engine": evaluation.engine,
        "because": evaluation.reason,
        "books": {name.value: serializers.status_document(loaded, name) for name in EngineName},
    }
    lines = [
        f"{user_id} on plan {account.plan}, served by {evaluation.engine} ({evaluation.reason})",
        *(_book_line(name, serializers.status_document(loaded, name)) for name in EngineName),
        *map(_pack_line, loaded.packs),
        *([f"frozen: {account.frozen}"] if account.frozen else []),
    ]
    echo_result(document, "\n".join(lines), as_json=as_json)


@credits_group.command("reconcile")
@json_option
@in_application
def reconcile_command(*, as_json: bool) -> None:
    """Recompute both books from the journal. Exit code 1 when a book differs."""
    result = scheduled.check_books(clock.now(), "demand")
    document = {
        "checked": result.checked,
        "found": result.found,
        "differences": [_difference(each) for each in result.differences],
        "packs": result.packs,
    }
    lines = [f"{result.checked:,} book rows checked, {result.found} differ."]
    lines += [_difference_line(each) for each in result.differences[:LISTED]]
    lines += [f"  pack {pack_id} does not hold what its entries add up to" for pack_id in result.packs[:LISTED]]
    lines += [f"… and {result.found - LISTED} more; --json lists a thousand."] if result.found > LISTED else []
    echo_result(document, "\n".join(lines), as_json=as_json)
    sys.exit(0 if result.clean else 1)


def _book_line(name: EngineName, document: serializers.Document) -> str:
    kinds = (f"{kind} {_figures(document[kind])}" for kind in KINDS)
    return f"  {name:<7} {', '.join(kinds)}, until {document['period_end']}"


def _pack_line(pack: Pack) -> str:
    until = serializers.instant(pack.expires_at)
    origin = "rolled-over" if pack.rolled_from else "bought"
    return f"  pack {pack.id}: {pack.remaining:,} of {pack.amount:,} {origin} {pack.kind} left, until {until}"


def _figures(kind: serializers.Document) -> str:
    return f"{kind['used']:,} of {'unlimited' if kind['limit'] is None else format(kind['limit'], ',')}"


def _difference(each: BookTotal) -> serializers.Document:
    return {
        "engine": each.engine,
        "userId": each.user_id,
        "periodStart": serializers.instant(each.period_start),
        "book": serializers.by_kind(each.book),
        "journal": serializers.by_kind(each.journal),
    }


def _difference_line(each: BookTotal) -> str:
    start = serializers.instant(each.period_start)
    return f"  {each.engine} {each.user_id} from {start}: book {_used(each.book)}, journal {_used(each.journal)}"


def _used(amounts: Amounts) -> str:
    return "/".join(str(amount) for _, amount in amounts.items())
