"""Tokens by who made them. Those that act like a person end with their maker's account; services keep theirs."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import account_store
from control_plane.platform.auth.tokens import ACTOR_PREFIX, revoke_token
from control_plane.platform.identity_types import Token, TokenType


@dataclass(frozen=True, slots=True)
class TokensOfMaker:
    """The names of a person's tokens: those that were revoked, and those that services go on using."""

    revoked: tuple[str, ...] = ()
    in_force: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Say what became of them; empty where there are none."""
        parts = [
            f"Revoked besides: {', '.join(self.revoked)}." if self.revoked else "",
            f"Still in force, for services use them: {', '.join(self.in_force)}." if self.in_force else "",
        ]
        return " ".join(part for part in parts if part)

    @property
    def documented(self) -> dict[str, list[str]]:
        """Name them as the audit trail does; nothing where there are none."""
        named = {"tokens_revoked": list(self.revoked), "tokens_in_force": list(self.in_force)}
        return {name: found for name, found in named.items() if found}


def tokens_made_by(session: Session, username: str) -> list[Token]:
    """Return those in force that this person made, also through other tokens; a shared name counts as theirs."""
    tokens, makers = account_store.tokens(session), {username}
    while found := {f"{ACTOR_PREFIX}{each.name}" for each in tokens if each.created_by in makers} - makers:
        makers |= found
    return [each for each in tokens if each.created_by in makers and each.revoked_at is None]


def revoke_acting(session: Session, username: str, change: ChangeContext) -> TokensOfMaker:
    """Revoke the admin tokens that this person made. A refused token of an SDK would stop a service, so those stay."""
    made = tokens_made_by(session, username)
    acting = [each for each in made if each.type is TokenType.ADMIN]
    for token in acting:
        revoke_token(session, token.id, now=change.now, actor=change.actor, reason=change.reason)
    left = (each.name for each in made if each not in acting)
    return TokensOfMaker(tuple(sorted(each.name for each in acting)), tuple(sorted(left)))
