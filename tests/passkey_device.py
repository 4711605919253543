"""A device with a passkey, in software: what a browser would send, right or wrong in one thing."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

PRESENT_AND_VERIFIED = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV


@dataclass
class Device:
    """One passkey for one site."""

    origin: str = "http://localhost"
    site: str = "localhost"
    flags: AuthenticatorData.FLAG = PRESENT_AND_VERIFIED
    signatures: int = 0
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    handle: str = ""

    def make(self, options: Mapping[str, Any]) -> str:
        """Answer the question for a new passkey."""
        self.handle = options["user"]["id"]
        public_key = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]
        data = AttestedCredentialData.create(Aaguid.NONE, self.id, public_key)
        known = AuthenticatorData.create(self._site_hash, self.flags | AuthenticatorData.FLAG.AT, self.signatures, data)
        attestation = AttestationObject.create("none", known, {})
        client = self._client("webauthn.create", options["challenge"])
        return self._answer(clientDataJSON=client, attestationObject=bytes(attestation))

    def sign(self, options: Mapping[str, Any]) -> str:
        """Answer the question for a signature."""
        known = AuthenticatorData.create(self._site_hash, self.flags, self.signatures)
        client = self._client("webauthn.get", options["challenge"])
        signature = self.key.sign(known + hashlib.sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=known, signature=signature)

    @property
    def _site_hash(self) -> bytes:
        return hashlib.sha256(self.site.encode()).digest()

    def _client(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, **parts: bytes) -> str:
        response = {name: websafe_encode(part) for name, part in parts.items()} | {"userHandle": self.handle}
        name = websafe_encode(self.id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})
