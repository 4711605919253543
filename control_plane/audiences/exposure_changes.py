"""Whom one exposure admits and another does not, cohort by cohort, as sentences. Pure."""

from collections.abc import Iterator
from datetime import datetime

from control_plane.audiences.exposure import EVERYBODY, Exposure


def gained_cohorts(
    before: Exposure, after: Exposure, *, cutover_before: datetime, cutover_after: datetime
) -> Iterator[str]:
    """Name each cohort of which `after` admits somebody whom `before` does not; buckets are the same in both."""
    if before.environment or before.everyone_percentage >= EVERYBODY:
        return
    if after.environment:
        yield "The environment is on as a whole."
        return
    if after.allowlist and not before.allowlist:
        yield "The beta allowlist is open."
    reached = max(before.new_signups_percentage, before.everyone_percentage)
    if after.new_signups_percentage > reached:
        yield f"New signups go up from {reached} % to {after.new_signups_percentage} %."
    elif after.new_signups_percentage > before.everyone_percentage and cutover_after < cutover_before:
        yield f"New signups count from {cutover_after.isoformat()} on, instead of {cutover_before.isoformat()}."
    for share in after.shares:
        if share.percentage > (old := before.percentage_of(share.constraints)):
            yield f"{share.cohort.capitalize()} go up from {old} % to {share.percentage} %."
    if after.everyone_percentage > before.everyone_percentage:
        yield f"Everyone goes up from {before.everyone_percentage} % to {after.everyone_percentage} %."
