"""Verify that a delivery comes from Stripe, and that its event is of our account and mode.

The signature is read strictly by our own rules, then checked by the official library. The library alone raises
TypeError for a signature that isn't ASCII, takes `+1` and `1_0` for numbers, and accepts any time in the future.

A signed event can still be of another account, or of Stripe's test mode. An endpoint for Connect is sent the events of
connected accounts, who choose their metadata, lookup keys and prices themselves. And whoever writes the secret of a
test endpoint beside that of the real one would let test cards pay.
"""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from control_plane.audiences.exposure import PRODUCTION
from control_plane.platform.settings import Settings
from credits_engine.billing.stripe_api.json_fields import Json

TOLERANCE = timedelta(seconds=300)
HEADER_CHARACTERS_MAX = 4096
PART = re.compile(r"[a-z][a-z0-9]{0,15}=[!-+\--~]{1,256}", re.ASCII)
TIME = re.compile(r"t=(0|[1-9][0-9]{0,11})", re.ASCII)
SIGNATURE = re.compile(r"v1=[0-9a-f]{64}", re.ASCII)
SIGNATURES_MAX = 10


def refusal(body: bytes, header: str | None, secrets: Sequence[str], now: datetime) -> str | None:
    """Return why this delivery is not believed, as a sentence; None when one of the secrets signed it just now."""
    if not header:
        return "There is no Stripe-Signature header."
    parts = header.split(",") if len(header) <= HEADER_CHARACTERS_MAX else []
    times = [found[1] for part in parts if (found := TIME.fullmatch(part))]
    signatures = [part for part in parts if SIGNATURE.fullmatch(part)]
    if not _is_sound(parts, times, signatures):
        return "The Stripe-Signature header is not of the form t=<seconds>,v1=<64 hexadecimal digits>."
    if not _is_text(body):
        return "The body is not UTF-8."
    canonical = ",".join((f"t={times[0]}", *signatures))
    if not any(_signed(body, canonical, secret) for secret in secrets):
        return "No signature fits the body and the secrets of this endpoint."
    if abs(now.timestamp() - int(times[0])) > TOLERANCE.total_seconds():
        return f"The signature is more than {TOLERANCE.seconds} seconds away from our clock."
    return None


def _is_sound(parts: list[str], times: list[str], signatures: list[str]) -> bool:
    """Return whether it has one time and some signatures, each as Stripe writes it.

    Other schemes may stand beside them.
    """
    marked = [part for part in parts if part.startswith(("t=", "v1="))]
    complete = len(times) == 1 and 1 <= len(signatures) <= SIGNATURES_MAX
    return complete and len(marked) == 1 + len(signatures) and all(PART.fullmatch(part) for part in parts)


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _signed(body: bytes, header: str, secret: str) -> bool:
    import stripe  # noqa: PLC0415 - heavy, and only an installation that bills is told anything

    try:
        # The time is checked by us, both ways and by the clock of the request.
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except stripe.SignatureVerificationError:
        return False
    return True


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
            f"(livemode: {json.dumps(livemode)}); STRIPE_LIVEMODE says which count."
        )
