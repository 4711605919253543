"""A share of the customers whose attributes meet the phase's constraints, in production."""

from control_plane.audiences.base import AudienceKind, ConstraintAudience, Opening
from control_plane.audiences.constraint import Constraint


class Attributes(ConstraintAudience):
    """Customers by region, plan, company or any other property, with Unleash's operators."""

    name = AudienceKind.ATTRIBUTES
    takes_constraints = True

    def constraints(self, phase: Opening) -> tuple[Constraint, ...]:
        """Those that the plan gives the phase."""
        return phase.constraints

    def entry(self, percentage: int | None) -> str:
        """Name no attribute: they are in the trace."""
        return f"at {percentage} % of customers with these attributes"
