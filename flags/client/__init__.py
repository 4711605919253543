"""Flags for Python services: the official UnleashClient, set up so that nothing can be got wrong.

    flags = flags.client.connect("http://rollout:8000", token)
    flags.is_enabled("ENABLE_CREDITS_V2", user_id, signed_up_at=user.created_at)

It follows changes as they happen, starts from what it last knew when the server is away, and starts its threads in
the process that asks, however often that was forked before.
"""

from flags.client.connection import PATIENCE_SECONDS, Flags, connect

__all__ = ["PATIENCE_SECONDS", "Flags", "connect"]
