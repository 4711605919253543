"""The origin of an event: a signed one can still be of another account, or of Stripe's test mode.

An endpoint for Connect is sent the events of connected accounts, who choose their metadata, lookup keys and prices
themselves. And whoever writes the secret of a test endpoint beside that of the real one would let test cards pay.
"""

from control_plane.phases import PRODUCTION
from control_plane.platform.settings import Settings
from credits_engine.billing.stripe_api.json_fields import Json

ACCOUNT_NAMES = ("account", "context")
"""Where events name the account they are of: snapshot events, and thin ones."""


class ForeignEventError(ValueError):
    """An event that is none of ours; the message says why and which setting would let it in."""


def check_origin(event: Json, settings: Settings) -> None:
    """Raise ForeignEventError unless the event is of our account and of the mode that counts here."""
    for name in ACCOUNT_NAMES:
        account = event.get(name)
        if account is not None and account not in settings.stripe_accounts:
            raise ForeignEventError(
                f"Refused: the event is of the account {str(account)[:100]!r}, which STRIPE_ACCOUNTS does not list."
            )
    wanted = settings.stripe_livemode
    if wanted is None and settings.environment == PRODUCTION:
        wanted = True
    livemode = event.get("livemode", wanted)
    if wanted is not None and livemode is not wanted:
        mode, other = ("live", "test") if wanted else ("test", "live")
        raise ForeignEventError(
            f"Refused: only events of Stripe's {mode} mode count here, and this one is of its {other} mode "
            f"(livemode: {livemode!r}); STRIPE_LIVEMODE says which count."
        )
