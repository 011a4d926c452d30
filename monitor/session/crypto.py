"""Encryption of payloads for one peer: ECIES on secp256k1, exactly as eciesjs 0.4 with its defaults.

For each message an ephemeral key pair is made; the AES key is HKDF-SHA256 (no salt, no info, 32 bytes) of the
ephemeral public key followed by the shared point, both uncompressed (65 bytes); the body is AES-256-GCM with a
16-byte nonce. Ciphertext: ephemeral public key (65) ‖ nonce (16) ‖ tag (16) ‖ body. Keys are raw: 32 bytes secret,
33 bytes public (compressed).
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Protocol

from btclib_secp256k1 import ecdh, keys
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from monitor.errors import CryptoError, ErrorCode

_POINT: Final = 65
_NONCE: Final = 16
_TAG: Final = 16
_SECRET: Final = 32
_COMPRESSED: Final = 33
_HEADER: Final = _POINT + _NONCE + _TAG


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A public key (33 bytes, compressed) and its private key (32 bytes, in no repr)."""

    public_key: bytes
    private_key: bytes = field(repr=False)


class KeyManager(Protocol):
    """The seam to whatever encrypts: real for every probe, a stand-in where only a relay's load matters."""

    def generate(self) -> KeyPair:
        """A new key pair."""

    def encrypt(self, plaintext: str, their_public_key: bytes) -> str:
        """`plaintext` for the owner of this public key, as base64. Raises `CryptoError` `INVALID_KEY`."""

    def decrypt(self, payload: str, private_key: bytes) -> str:
        """The text of an encrypted payload. Raises `CryptoError` `DECRYPTION_FAILED`."""

    def validate_peer_key(self, key: bytes) -> None:
        """Raise `CryptoError` `INVALID_KEY` unless `key` is a compressed public key."""


class Ecies:
    """The protocol's encryption."""

    def generate(self) -> KeyPair:
        """A new key pair from the system's randomness."""
        secret = os.urandom(_SECRET)  # all but 1 in 2^127 are valid private keys
        return KeyPair(public_key=keys.pubkey_from_prvkey(secret), private_key=secret)

    def encrypt(self, plaintext: str, their_public_key: bytes) -> str:
        """`plaintext` for the owner of this public key, as base64."""
        theirs = _uncompressed(their_public_key)
        ephemeral = os.urandom(_SECRET)
        point = keys.pubkey_from_prvkey(ephemeral, compressed=False)
        shared = ecdh.shared_point(theirs, ephemeral, compressed=False)
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(_derive(point, shared)).encrypt(nonce, plaintext.encode(), None)
        return base64.b64encode(point + nonce + sealed[-_TAG:] + sealed[:-_TAG]).decode("ascii")

    def decrypt(self, payload: str, private_key: bytes) -> str:
        """The text of an encrypted payload."""
        try:
            raw = base64.b64decode(payload, validate=True)
            if len(raw) < _HEADER:
                raise CryptoError(ErrorCode.DECRYPTION_FAILED, f"{len(raw)} bytes are too few for a ciphertext")
            point, nonce = raw[:_POINT], raw[_POINT : _POINT + _NONCE]
            tag, body = raw[_POINT + _NONCE : _HEADER], raw[_HEADER:]
            shared = ecdh.shared_point(point, private_key, compressed=False)
            return AESGCM(_derive(point, shared)).decrypt(nonce, body + tag, None).decode()
        except (binascii.Error, ValueError, InvalidTag) as error:
            raise CryptoError(ErrorCode.DECRYPTION_FAILED, f"not decryptable: {type(error).__name__}") from error

    def validate_peer_key(self, key: bytes) -> None:
        """Raise `CryptoError` unless `key` is a compressed point on the curve."""
        _uncompressed(key)


class Plain:
    """The load tests' stand-in: base64 of the text, fixed keys, no check; never for a probe of a production relay."""

    _PAIR: Final = KeyPair(public_key=b"\x43" * 33, private_key=b"\x42" * 32)

    def generate(self) -> KeyPair:
        """The one fixed pair."""
        return self._PAIR

    def encrypt(self, plaintext: str, their_public_key: bytes) -> str:  # noqa: ARG002 - the seam's signature
        """`plaintext` as base64."""
        return base64.b64encode(plaintext.encode()).decode("ascii")

    def decrypt(self, payload: str, private_key: bytes) -> str:  # noqa: ARG002 - the seam's signature
        """The text again."""
        try:
            return base64.b64decode(payload, validate=True).decode()
        except ValueError as error:
            raise CryptoError(ErrorCode.DECRYPTION_FAILED, "not base64 of text") from error

    def validate_peer_key(self, key: bytes) -> None:
        """Every key will do."""


def _derive(point: bytes, shared: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=None).derive(point + shared)


@lru_cache(maxsize=4096)
def _uncompressed(key: bytes) -> bytes:
    """Return the 65 bytes of a compressed public key. Raise `CryptoError` `INVALID_KEY` for anything else.

    Decompressing a point costs a square root, and a peer's key is used for every message to it.
    """
    if len(key) != _COMPRESSED:
        raise CryptoError(ErrorCode.INVALID_KEY, f"a public key has {_COMPRESSED} bytes, this one {len(key)}")
    try:
        return keys.reserialize(key, compressed=False)
    except ValueError as error:
        raise CryptoError(ErrorCode.INVALID_KEY, "not a point on secp256k1") from error
