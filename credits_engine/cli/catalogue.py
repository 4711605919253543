"""`rollout credits catalogue …`: kinds and plans of credits as a file, compared and applied."""

import click

from credits_engine.administration import catalogue_document, plan_catalogue
from credits_engine.administration.document_commands import DocumentCommands
from credits_engine.administration.plan_catalogue import CatalogueDifference
from credits_engine.api.catalogue import difference_document


@click.group("catalogue")
def catalogue_group() -> None:
    """List and change kinds and plans of credits and their limits, besides and in place of the built-in ones."""


def _lines(found: CatalogueDifference) -> list[str]:
    lines = [f"{len(found.added) + len(found.kinds)} new."]
    lines += [
        f"  kind {each.name} from {each.starts_at:%Y-%m-%dT%H:%M:%SZ}, granted at once also in periods that run."
        for each in found.kinds
    ]
    for each in found.added:
        refused = found.refusals[each.plan]
        months = "" if each.above else f", legacy's months from {each.legacy_starts_at:%Y-%m-%d}"
        lines.append(
            f"  {each.plan} from {each.starts_at:%Y-%m-%dT%H:%M:%SZ}{months}; of the last 30 days it would have "
            f"refused {refused.operations:,} operations of {refused.users:,} users."
        )
        lines += [f"    {user_id}" for user_id in refused.first_users]
        if rolled := found.rollovers.get(each.plan):
            lines.append(
                f"    Of the {rolled.periods:,} periods that ended in the last 31 days it would have let {rolled.more} "
                f"more roll over at most, to {rolled.users:,} users."
            )
        have = found.users[each.plan]
        if have.last_end:
            lines.append(
                f"    {have.users:,} users have it now; {have.running:,} periods run with the limits they were opened "
                f"with, the last one until {have.last_end:%Y-%m-%dT%H:%M:%SZ}."
            )
    return lines


DocumentCommands(
    export=plan_catalogue.exported,
    difference=lambda session, source, now: plan_catalogue.difference(session, catalogue_document.parsed(source), now),
    apply=lambda session, source, change: plan_catalogue.apply(session, catalogue_document.parsed(source), change),
    as_json=difference_document,
    as_lines=_lines,
).add_to(
    catalogue_group,
    diff_help="Say what applying FILE would add, and whom of the last 30 days it would have refused.",
    apply_help="Add what is new in FILE. Periods that run keep their limits; servers follow within seconds.",
)
