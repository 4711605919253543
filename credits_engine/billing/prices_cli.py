"""`rollout billing prices …`: prices as a file, compared and applied."""

from pathlib import Path

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option
from credits_engine.billing import prices, serializers
from credits_engine.billing.prices import Difference
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, BreakerOpenError, StripeUnavailableError

file_argument = click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group("prices")
def prices_group() -> None:
    """Prices of Stripe that were added to the built-in ones, and what each buys."""


@prices_group.command("export")
@in_application
def export_command() -> None:
    """Print what was added, as YAML that can be applied again."""
    with read_only() as session:
        click.echo(prices.exported(session), nl=False)


@prices_group.command("diff")
@file_argument
@json_option
@in_application
def diff_command(*, path: Path, as_json: bool) -> None:
    """Say what applying FILE would do, whom it would let go on, and what of it Stripe does not sell."""
    try:
        document = prices.parsed(path.read_text(encoding="utf-8"))
        with read_only() as session:
            found = prices.difference(session, document, clock.now(), gateway=STRIPE_GATEWAY.get())
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    except (StripeUnavailableError, BreakerOpenError) as error:
        raise CommandFailed(str(error)) from error
    echo_result(serializers.prices_difference(found), "\n".join(_lines(found)), as_json=as_json)


@prices_group.command("apply")
@file_argument
@click.option("--reason", required=True, help="Why; kept in the audit trail.")
@json_option
@in_application
def apply_command(*, path: Path, reason: str, as_json: bool) -> None:
    """Add the prices of FILE that are new. The running server has them within seconds."""
    try:
        document = prices.parsed(path.read_text(encoding="utf-8"))
        with transaction() as session:
            found = prices.apply(session, document, ChangeContext(clock.now(), actor(), reason))
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result(serializers.prices_difference(found), "\n".join(_lines(found)), as_json=as_json)


def _lines(found: Difference) -> list[str]:
    lines = [f"{len(found.added)} new."]
    for each in found.added:
        bought = each.plan or f"a pack of {each.amount} {each.kind} for {each.days} days"
        waiting = found.waiting.get(each.price, 0)
        lines.append(
            f"  {each.price} buys {bought} from {each.starts_at:%Y-%m-%dT%H:%M:%SZ}; {waiting} events wait for it."
        )
    lines += [f"  {name} is added already and not in the file; it goes on." for name in found.missing]
    lines += [f"  {name} is not on sale at Stripe." for name in found.not_at_stripe]
    return lines
