"""The context and the environment of a request that is evaluated here."""

from dataclasses import replace
from secrets import token_hex

from control_plane.platform.identity_types import EVERY, Token
from control_plane.platform.settings import current
from flags.client_features.prepared_payloads import PreparedPayloads
from flags.client_features.refresher import feature_provider
from flags.client_features.user_directory import user_directory
from flags.evaluation.contexts import ATTRIBUTES, Context, enrich_context

CONTEXT_BYTES_MAX = 100 * 1024
"""What Unleash takes as well. Nothing in a context is cut: SDKs would answer otherwise by all of it."""


def payloads_for(token: Token) -> PreparedPayloads:
    """Return the payloads of the token's environment and projects; of this installation's own where it opens every."""
    environment = current().environment if token.environment == EVERY else token.environment
    return feature_provider().current(environment).of_projects(token.projects)


def with_directory(context: Context, token: Token) -> Context:
    """Return the context with what our directory knows of the user, as far as the token's word doesn't outweigh it."""
    trusted = [name for name in ATTRIBUTES if token.trusts(name)]
    return enrich_context(context, user_directory().find(context.user_id), trusted)


def with_connection(context: Context, address: str | None) -> Context:
    """Return the context with what the connection itself tells: an address, and a session of one request's length."""
    if context.session_id and context.remote_address:
        return context
    return replace(
        context,
        session_id=context.session_id or token_hex(16),
        remote_address=context.remote_address or address,
    )
