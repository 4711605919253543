"""A share of those who signed up after the plan's cut-over, in production."""

from dataclasses import replace

from control_plane.audiences.base import Audience, AudienceKind, Opening
from control_plane.audiences.exposure import PRODUCTION, Exposure


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
