"""Signatures whose time is that of the database's clock: one host signs and another one verifies."""

from datetime import timedelta

from itsdangerous import SignatureExpired, TimestampSigner

from control_plane.platform import clock

SKEW = timedelta(seconds=5)
"""How far ahead the host that signed may be: each knows the database's clock to a fraction of a second."""


class DatabaseTimestampSigner(TimestampSigner):
    """Goes by no host's own clock: what a host that is ahead signs would be refused by all others until then."""

    def get_timestamp(self) -> int:
        """Return the present."""
        return int(clock.now().timestamp())

    def unsign(  # type: ignore[override] # the library tells apart by `return_timestamp` what is returned
        self,
        signed_value: str | bytes,
        max_age: int | None = None,
        return_timestamp: bool = False,  # noqa: FBT001, FBT002
    ) -> object:
        """Return what was signed, and on request when. Raises SignatureExpired, or BadSignature for a forged one."""
        value, signed_at = super().unsign(signed_value, return_timestamp=True)
        age = timedelta(seconds=self.get_timestamp() - signed_at.timestamp())
        if max_age is not None and not -SKEW <= age <= timedelta(seconds=max_age):
            sentence = f"Signed {age.total_seconds():.0f} seconds ago, and valid for {max_age}."
            raise SignatureExpired(sentence, payload=value, date_signed=signed_at)
        return (value, signed_at) if return_timestamp else value
