"""The users on the beta allowlist, in production."""

from dataclasses import replace

from control_plane.audiences.base import Audience, AudienceKind, Opening
from control_plane.audiences.exposure import PRODUCTION, Exposure


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
        """Everybody on it enters at once."""
        return "with the beta allowlist"
