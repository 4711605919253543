"""Everybody in the environments that a phase names."""

from dataclasses import replace

from control_plane.audiences.base import Audience, AudienceKind, Opening
from control_plane.audiences.exposure import Exposure


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
        """Everybody enters at once."""
        return "with this environment"
