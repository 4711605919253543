"""The plan of whoever gives none: the four phases of the Credits v2 rollout guide."""

from datetime import datetime, timedelta

from control_plane.audiences.base import AudienceKind
from control_plane.core.phases import PRE_PRODUCTION, Phase, Plan


def default_plan(new_signups_after: datetime) -> Plan:
    """Return the four phases of the Credits v2 rollout guide, one week each."""
    quarter = timedelta(days=7) / 4
    return Plan(
        phases=(
            Phase(
                name="development",
                title="Development and staging",
                audience=AudienceKind.ENVIRONMENTS,
                steps=(100,),
                soak=timedelta(days=7),
                environments=PRE_PRODUCTION,
            ),
            Phase(
                name="beta",
                title="Beta allowlist",
                audience=AudienceKind.ALLOWLIST,
                steps=(100,),
                soak=timedelta(days=7),
                served_minimum=100,
            ),
            Phase(
                name="new-signups",
                title="New signups first",
                audience=AudienceKind.NEW_SIGNUPS,
                steps=(10, 25, 50, 100),
                soak=quarter,
                served_minimum=20,
            ),
            Phase(
                name="everyone",
                title="Everyone",
                audience=AudienceKind.EVERYONE,
                steps=(10, 25, 50, 100),
                soak=quarter,
                served_minimum=20,
            ),
        ),
        new_signups_after=new_signups_after,
    )
