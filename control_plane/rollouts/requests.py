"""The bodies of the routes of rollouts."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from control_plane.core.approval_gate import ApprovalSubject

REASON_CHARACTERS = 2000


def _cut(reason: object) -> object:
    return reason[:REASON_CHARACTERS] if isinstance(reason, str) else reason


class Request(BaseModel):
    """The body of every change: why, and which version the caller saw."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="", max_length=REASON_CHARACTERS)
    expectedVersion: int = Field(default=0, ge=0)  # noqa: N815 - the JSON name


class ApproveRequest(Request):
    """The body of an approval: of the next step, or of a plan that asks for fewer approvals, or of none."""

    of: ApprovalSubject = Field(default=ApprovalSubject.STEP, strict=False)


class WithdrawApprovalRequest(BaseModel):
    """The body by which somebody takes an approval back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="", max_length=REASON_CHARACTERS)
    of: ApprovalSubject = Field(default=ApprovalSubject.STEP, strict=False)


class AdvanceRequest(Request):
    """The body of an advance."""

    confirmLosing: bool = False  # noqa: N815 - the JSON name


class RollbackRequest(BaseModel):
    """The body of a rollback, which nobody writes with care: no version, no field too many and no length refuses it."""

    model_config = ConfigDict(extra="ignore")

    reason: Annotated[str, BeforeValidator(_cut)] = ""
    everywhere: bool = False


class ArchiveRequest(Request):
    """The body of archiving."""

    confirmLosing: bool = False  # noqa: N815 - the JSON name


class DeleteRequest(Request):
    """The body of deleting; the confirmations are for a rollout of one environment, which the flag's own takes over."""

    confirmLosing: bool = False  # noqa: N815 - the JSON name
    confirmGaining: bool = False  # noqa: N815 - the JSON name
