"""A share of all users, in production."""

from dataclasses import replace

from control_plane.audiences.base import Audience, AudienceKind, Opening
from control_plane.audiences.exposure import PRODUCTION, Exposure


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
