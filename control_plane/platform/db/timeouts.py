"""How long PostgreSQL may be silent, in libpq's own terms.

By the system's defaults a server that was cut off without a word, as by a power cut, is waited for a quarter of an hour
and longer: by requests, by the heartbeat and by whoever listens.
"""

from sqlalchemy import URL

SILENCE = {
    "connect_timeout": 3,
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}
"""In seconds, but for `tcp_user_timeout`: as many milliseconds as a statement may take."""


def libpq(url: URL) -> dict[str, int]:
    """Return the timeouts for this address, as far as it sets none of its own."""
    return {name: value for name, value in SILENCE.items() if name not in url.query}
