"""`session.crypto`: ECIES compatible with eciesjs."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import CryptoError, ErrorCode
from monitor.session.crypto import Ecies, Plain

SECRET = b"\x07" * 32
VECTOR = (
    "045c530d093487709c7e91a7fbc6a380569c5493c4c46377ccd644f41e238daf76b82d35f7d0ef1ead3348af1ed892303d5ae5fd6cea85ed"
    "ffd2ac67a9646751a3fe2c05c91d77a553e68d6dda1bbbcb54b4d2514885b062ca09ca163683645d943b8ec92867"
)
KEYS = Ecies().generate()


def test_a_test_vector_of_eciesjs_decrypts() -> None:
    assert Ecies().decrypt(base64.b64encode(bytes.fromhex(VECTOR)).decode(), SECRET) == "hello"


@given(st.text())
def test_an_encrypted_text_decrypts(text: str) -> None:
    assert Ecies().decrypt(Ecies().encrypt(text, KEYS.public_key), KEYS.private_key) == text


def test_a_ciphertext_is_key_nonce_tag_body() -> None:
    raw = base64.b64decode(Ecies().encrypt("hello", KEYS.public_key))
    assert (raw[0], len(raw)) == (4, 65 + 16 + 16 + 5)


@given(st.integers(0, 65 + 16 + 16 + 5 - 1), st.integers(0, 7))
def test_any_flipped_bit_fails_to_decrypt(index: int, bit: int) -> None:
    raw = bytearray(base64.b64decode(Ecies().encrypt("hello", KEYS.public_key)))
    raw[index] ^= 1 << bit
    with pytest.raises(CryptoError) as caught:
        Ecies().decrypt(base64.b64encode(raw).decode(), KEYS.private_key)
    assert caught.value.code is ErrorCode.DECRYPTION_FAILED


@pytest.mark.parametrize("payload", ["", "!", "aGVsbG8=", "é", base64.b64encode(b"\x04" * 97).decode()])
def test_an_invalid_ciphertext_fails_to_decrypt(payload: str) -> None:
    with pytest.raises(CryptoError) as caught:
        Ecies().decrypt(payload, KEYS.private_key)
    assert caught.value.code is ErrorCode.DECRYPTION_FAILED


@pytest.mark.parametrize("secret", [b"", b"\x07" * 31, b"\x00" * 32, b"\xff" * 32])
def test_an_invalid_private_key_fails_to_decrypt(secret: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        Ecies().decrypt(base64.b64encode(bytes.fromhex(VECTOR)).decode(), secret)
    assert caught.value.code is ErrorCode.DECRYPTION_FAILED


@pytest.mark.parametrize("key", [b"", b"\x02" * 32, b"\x05" + b"\x01" * 32, b"\x02" + b"\xff" * 32, b"\x04" * 65])
def test_an_invalid_compressed_point_is_an_invalid_key(key: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        Ecies().validate_peer_key(key)
    assert caught.value.code is ErrorCode.INVALID_KEY


def test_a_private_key_is_in_no_repr() -> None:
    assert repr(KEYS.private_key)[2:-1] not in repr(KEYS)
    assert "private_key" not in repr(KEYS)


def test_plain_keys_are_fixed_and_texts_are_only_base64() -> None:
    plain = Plain()
    assert plain.generate().public_key == b"\x43" * 33
    assert plain.generate().private_key == b"\x42" * 32
    assert plain.encrypt("héllo", b"") == base64.b64encode("héllo".encode()).decode()
    assert plain.decrypt(plain.encrypt("héllo", b""), b"") == "héllo"
    with pytest.raises(CryptoError):
        plain.decrypt("!", b"")
