"""What is answered about tokens."""

from control_plane.platform.http.openapi import ResponseModel


class Token(ResponseModel):
    """A token without what would open anything."""

    id: int
    name: str
    type: str
    environment: str
    selector: str
    trusted_attributes: list[str]
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    last_seen_at: str | None
    role: str | None
    flags: list[str]
    projects: list[str]


class CreatedToken(Token):
    """A new token; nothing but this answer ever holds its text."""

    token: str


class TokenList(ResponseModel):
    """Every token, the newest first."""

    tokens: list[Token]
