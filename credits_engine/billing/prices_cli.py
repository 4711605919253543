"""`rollout billing prices …`: prices as a file, compared and applied."""

import click

from credits_engine.administration.document_commands import DocumentCommands
from credits_engine.billing import price_administration, serializers
from credits_engine.billing.price_administration import Difference
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, BreakerOpenError, StripeUnavailableError


@click.group("prices")
def prices_group() -> None:
    """List and add prices of Stripe, besides the built-in ones, and what each buys."""


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


DocumentCommands(
    export=price_administration.exported,
    difference=lambda session, source, now: price_administration.difference(
        session, price_administration.parsed(source), now, gateway=STRIPE_GATEWAY.get()
    ),
    apply=lambda session, source, change: price_administration.apply(
        session, price_administration.parsed(source), change
    ),
    as_json=serializers.prices_difference,
    as_lines=_lines,
    unavailable=(StripeUnavailableError, BreakerOpenError),
).add_to(
    prices_group,
    diff_help="Say what applying FILE would do, whom it would let go on, and what of it Stripe does not sell.",
    apply_help="Add the prices of FILE that are new. The running server has them within seconds.",
)
