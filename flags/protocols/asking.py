"""Who asks in a request that is evaluated here, and in which environment."""

from dataclasses import replace
from secrets import token_hex

from control_plane.platform.identity_types import EVERY, Token
from control_plane.platform.settings import current
from flags.contexts import ATTRIBUTES, Context, informed
from flags.publication.directory import directory
from flags.publication.published import Published
from flags.publication.publisher import publisher


def published_for(token: Token) -> Published:
    """What the token's environment is given; a token for every environment gets this installation's own."""
    return publisher().current(current().environment if token.environment == EVERY else token.environment)


def introduced(context: Context, token: Token) -> Context:
    """The context with what our directory knows of the user, as far as the token's word doesn't outweigh it."""
    trusted = [name for name in ATTRIBUTES if token.trusts(name)]
    return informed(context, directory().find(context.user_id), trusted)


def at_hand(context: Context, address: str | None) -> Context:
    """The context with what the connection itself tells: an address, and a session of one request's length."""
    if context.session_id and context.remote_address:
        return context
    return replace(
        context,
        session_id=context.session_id or token_hex(16),
        remote_address=context.remote_address or address,
    )
