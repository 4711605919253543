"""WebAuthn itself, as the party that relies on it: what a browser is asked, and what its answers prove.

Credentials are JSON as the browser sends it, public keys base64 as they are stored.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

CREDENTIAL_CHARACTERS = 20_000
ID_BYTES_MAX = 1023
"""As WebAuthn has it; whoever has a passkey is read with each of their requests."""
SITE_NAME = "Rollout"

State = Mapping[str, object]
Question = tuple[dict[str, object], State]
"""What a browser is asked, and what must be remembered of it."""


class RegisteredKey(NamedTuple):
    """A passkey that a device has just made."""

    id: str
    public_key: str


class Signature(NamedTuple):
    """Which passkey has signed, and how many signatures its device has counted; 0 where it counts none."""

    id: str
    signatures: int


class RelyingParty:
    """The party that a browser at `host` talks to; no answer that was made for another origin counts."""

    def __init__(self, host: str) -> None:
        site = PublicKeyCredentialRpEntity(name=SITE_NAME, id=host.rpartition(":")[0] if ":" in host else host)
        # The scheme stays out of it, as in `csrf`: browsers make passkeys over https or for localhost alone.
        self._server = Fido2Server(
            site,
            attestation=AttestationConveyancePreference.NONE,
            verify_origin=lambda origin: origin.partition("://")[2] == host,
        )

    def begin_registration(self, name: str, handle: bytes, known: Sequence[str]) -> Question:
        """Ask for a new passkey of somebody who has the `known` ones."""
        options, state = self._server.register_begin(
            PublicKeyCredentialUserEntity(name=name, id=handle, display_name=name),
            [_data(each) for each in known],
            resident_key_requirement=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return dict(options)["publicKey"], state

    def complete_registration(self, state: State, credential: str) -> RegisteredKey:
        """Return the passkey that an answer proves. Raises any exception for one that proves none."""
        data = self._server.register_complete(state, _parsed(credential)).credential_data
        if data is None or len(data.credential_id) > ID_BYTES_MAX:
            raise ValueError("There is no usable passkey in it.")
        return RegisteredKey(websafe_encode(data.credential_id), b64encode(data).decode())

    def begin_authentication(self, known: Sequence[str] | None) -> Question:
        """Ask for a signature of one of the `known` passkeys, or of whichever the device has for us."""
        options, state = self._server.authenticate_begin(
            None if known is None else [_data(each) for each in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return dict(options)["publicKey"], state

    def complete_authentication(self, state: State, known: Sequence[str], credential: str) -> Signature:
        """Return which of the `known` passkeys has signed. Raises any exception where none has."""
        parsed = _parsed(credential)
        proved = self._server.authenticate_complete(state, [_data(each) for each in known], parsed)
        counter = AuthenticationResponse.from_dict(parsed).response.authenticator_data.counter
        return Signature(websafe_encode(proved.credential_id), counter)

    def user_handle(self, credential: str) -> bytes | None:
        """Return whom an answer speaks of, as the device was told when its passkey was made."""
        return AuthenticationResponse.from_dict(_parsed(credential)).response.user_handle


def _data(public_key: str) -> AttestedCredentialData:
    return AttestedCredentialData(b64decode(public_key))


def _parsed(credential: str) -> dict[str, object]:
    if len(credential) > CREDENTIAL_CHARACTERS:
        raise ValueError("That is too long for a passkey's answer.")
    found = json.loads(credential)
    if not isinstance(found, dict):
        raise TypeError("A passkey's answer is an object.")
    websafe_decode(found["rawId"])
    return found
