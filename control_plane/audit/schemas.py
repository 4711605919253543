"""OpenAPI models of the audit trail's routes."""

from pydantic import BaseModel


class AuditEntry(BaseModel):
    """An entry of the audit trail."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    before: dict[str, object] | None
    after: dict[str, object] | None
    reason: str | None
    hash: str


class AuditEntryList(BaseModel):
    """The latest changes, the newest first."""

    entries: list[AuditEntry]


class AuditPage(AuditEntryList):
    """A page of the audit trail, and what to ask for the next one with."""

    next: str | None
