"""The tools of an assistant, as functions of a server's API: reads for everybody, moves where they were asked for."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from control_plane.mcp_server.api_client import APIClient, RefusedByServer

Flag = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        description="The flag, such as ENABLE_CREDITS_V2; FLAG@ENVIRONMENT for the rollout of one environment.",
    ),
]
Reason = Annotated[
    str, Field(min_length=10, max_length=2000, description="Why, for the audit trail: what was seen and what is meant.")
]
Version = Annotated[
    int, Field(ge=1, description="`version` of the rollout as you read it; refused if it was changed since.")
]
Limit = Annotated[int, Field(ge=1, le=100, description="At most so many.")]
Document = dict[str, object]
Tool = Callable[..., Document]
UNKNOWN = "unknown"


class ReadTools:
    """What changes nothing."""

    def __init__(self, api: APIClient) -> None:
        self._api = api

    def list_rollouts(self, state: str = "", search: str = "", limit: Limit = 50) -> Document:
        """List the rollouts: flag, state, stage, version, who owns it; archived ones by state=archived alone."""
        return self._api.get("rollouts", state=state, q=search, limit=limit)

    def rollout_status(self, flag: Flag) -> Document:
        """Tell how a rollout stands: phase, step, exposure, version, and what each gate says to the next step."""
        return self._api.get("rollouts", flag)

    def alert_verdicts(self, flag: Flag) -> Document:
        """Tell what the guard last found of each alert of a flag, with the figures it judged by."""
        return self._api.get("alerts", flag)

    def explain_flag(self, flag: Flag, user_id: Annotated[str, Field(min_length=1)], environment: str = "") -> Document:
        """Tell why a user has a flag or not: every rule that was asked, and what the next step would change."""
        return self._api.get("flags", flag, "explain", userId=user_id, environment=environment)

    def search_audit(self, flag: str = "", actor: str = "", action: str = "", limit: Limit = 20) -> Document:
        """Read the audit trail, the newest first: who changed what, when and why."""
        return self._api.get("audit", flag=flag, actor=actor, action=action, limit=limit)

    def list_variances(self, cause: str = "", user_id: str = "", limit: Limit = 20) -> Document:
        """List operations that the two credit engines answered differently, with groups by cause; needs an owner."""
        return self._api.get("admin", "credits", "variances", cause=cause, userId=user_id, limit=limit)

    def all(self) -> list[Tool]:
        """Return every tool of this kind."""
        return [
            self.list_rollouts,
            self.rollout_status,
            self.alert_verdicts,
            self.explain_flag,
            self.search_audit,
            self.list_variances,
        ]


class MoveTools:
    """What changes a rollout, as far as the token may; the server asks for the reason and keeps it."""

    def __init__(self, api: APIClient) -> None:
        self._api = api

    def advance_rollout(
        self,
        flag: Flag,
        version: Version,
        reason: Reason,
        approve_unknown_gates: Annotated[bool, Field(description="Only where a person said so.")] = False,  # noqa: FBT002
    ) -> Document:
        """Expose the flag one step further. Refused where a gate is closed, or unknown and not approved by a person."""
        if not approve_unknown_gates:
            self._refuse_unknown(flag)
        return self._api.post("rollouts", flag, "advance", reason=reason, expectedVersion=version)

    def step_back_rollout(self, flag: Flag, version: Version, reason: Reason) -> Document:
        """Take the flag one step back; those who came last leave first."""
        return self._api.post("rollouts", flag, "step-back", reason=reason, expectedVersion=version)

    def hold_rollout(self, flag: Flag, reason: Reason) -> Document:
        """Keep the exposure as it is and refuse to advance."""
        return self._api.post("rollouts", flag, "hold", reason=reason)

    def resume_rollout(self, flag: Flag, reason: Reason) -> Document:
        """End a hold."""
        return self._api.post("rollouts", flag, "resume", reason=reason)

    def roll_back(self, flag: Flag, reason: Reason) -> Document:
        """Take the flag from everybody in production at once; it stays off until people arm it again."""
        return self._api.post("rollouts", flag, "rollback", reason=reason)

    def all(self) -> list[Tool]:
        """Return every tool of this kind."""
        return [
            self.advance_rollout,
            self.step_back_rollout,
            self.hold_rollout,
            self.resume_rollout,
            self.roll_back,
        ]

    def _refuse_unknown(self, flag: str) -> None:
        """Keep an assistant's reason from being a person's approval, which is how the server reads one."""
        gates = self._api.get("rollouts", flag)["gates"]
        unknown = [f"{gate['name']} ({gate['reason']})" for gate in gates if gate["status"] == UNKNOWN]
        if unknown:
            raise RefusedByServer(f"A person has to approve what can't be known: {'; '.join(unknown)}")
