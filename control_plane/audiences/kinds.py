"""The kinds of audience of the rollout guide, and customers by their attributes; all but environments in production."""

from dataclasses import replace

from control_plane.audiences.base import Audience, AudienceKind, ConstraintAudience, Opening
from control_plane.audiences.constraint import Constraint
from control_plane.audiences.exposure import PRODUCTION, Exposure


class Environments(Audience):
    """Environments switched on as a whole, for anonymous users too."""

    name = AudienceKind.ENVIRONMENTS
    is_stepped = False
    takes_environments = True

    def open(self, exposure: Exposure, phase: Opening, percentage: int, environment: str) -> Exposure:  # noqa: ARG002
        """`exposure` with the environment on if the phase names it, and off if it does not."""
        return replace(exposure, environment=environment in phase.environments)

    def sentence(self, phase: Opening, cutover: str) -> str:  # noqa: ARG002 - for those who signed up
        """Name the environments."""
        return f"Everybody in {self.reach(phase, '')}"

    def reach(self, phase: Opening, share: str) -> str:  # noqa: ARG002 - there is one step
        """Name the environments."""
        *others, last = phase.environments
        return f"{', '.join(others)} and {last}" if others else last

    def entry(self, percentage: int | None) -> str:  # noqa: ARG002 - there is one step
        """Say that everybody enters at once."""
        return "with this environment"


class Allowlist(Audience):
    """Users by name."""

    name = AudienceKind.ALLOWLIST
    is_stepped = False

    def open(self, exposure: Exposure, phase: Opening, percentage: int, environment: str) -> Exposure:  # noqa: ARG002
        """`exposure` with the allowlist open in production."""
        return replace(exposure, allowlist=environment == PRODUCTION)

    def sentence(self, phase: Opening, cutover: str) -> str:  # noqa: ARG002 - it is one list
        """Name the list."""
        return "Those on the beta allowlist"

    def reach(self, phase: Opening, share: str) -> str:  # noqa: ARG002 - there is one step
        """Name the list."""
        return "the beta allowlist"

    def entry(self, percentage: int | None) -> str:  # noqa: ARG002 - there is one step
        """Say that everybody on it enters at once."""
        return "with the beta allowlist"


class NewSignups(Audience):
    """Users by their day of sign-up; the cut-over is the plan's, so nobody ages out."""

    name = AudienceKind.NEW_SIGNUPS

    def open(self, exposure: Exposure, phase: Opening, percentage: int, environment: str) -> Exposure:  # noqa: ARG002
        """`exposure` with a share of new signups in production."""
        return replace(exposure, new_signups_percentage=percentage if environment == PRODUCTION else 0)

    def sentence(self, phase: Opening, cutover: str) -> str:  # noqa: ARG002 - the cut-over is the plan's
        """Name the cut-over."""
        return f"Those who signed up after {cutover}"

    def reach(self, phase: Opening, share: str) -> str:  # noqa: ARG002 - the cut-over is the plan's
        """Name the share."""
        return f"{share} of new signups"


class Attributes(ConstraintAudience):
    """Customers by region, plan, company or any other property, with Unleash's operators."""

    name = AudienceKind.ATTRIBUTES
    takes_constraints = True

    def constraints(self, phase: Opening) -> tuple[Constraint, ...]:
        """Return those that the plan gives the phase."""
        return phase.constraints

    def sentence(self, phase: Opening, cutover: str) -> str:
        """Name the segment, where the conditions are one's; else name the conditions."""
        if not phase.segment:
            return super().sentence(phase, cutover)
        count = len(phase.constraints)
        return f"Customers of segment {phase.segment} ({count} {'condition' if count == 1 else 'conditions'})"

    def reach(self, phase: Opening, share: str) -> str:
        """Name the share, and the segment or the conditions."""
        return f"{share} of segment {phase.segment}" if phase.segment else super().reach(phase, share)

    def entry(self, percentage: int | None) -> str:
        """Name no attribute: they are in the trace."""
        return f"at {percentage} % of customers with these attributes"


class Everyone(Audience):
    """All users."""

    name = AudienceKind.EVERYONE

    def open(self, exposure: Exposure, phase: Opening, percentage: int, environment: str) -> Exposure:  # noqa: ARG002
        """`exposure` with a share of everyone in production."""
        return replace(exposure, everyone_percentage=percentage if environment == PRODUCTION else 0)

    def sentence(self, phase: Opening, cutover: str) -> str:  # noqa: ARG002 - it is all of them
        """Name all."""
        return "All production users"

    def reach(self, phase: Opening, share: str) -> str:  # noqa: ARG002 - it is all of them
        """Name the share."""
        return f"{share} of everyone"
