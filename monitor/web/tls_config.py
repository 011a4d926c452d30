"""The section `tls_server_config` of the web configuration, whose names are Go's."""

from __future__ import annotations

import ssl
from pathlib import Path  # noqa: TC003 - pydantic reads annotations at run time
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr

from monitor.config.fields import ExistingFile, Kind, RedactedError, Section, checked
from monitor.config.problems import suggestion

_MAX_SANS: Final = 100
_MAX_PEM: Final = 65_536

VERIFYING: Final = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
"""Values of `client_auth_type` that verify client certificates."""

_TLS12_CIPHERS: Final = ("AES_128_CBC_SHA", "AES_256_CBC_SHA", "AES_128_GCM_SHA256", "AES_256_GCM_SHA384")
# TLS 1.3 suites are accepted but always enabled, as in Go.
CIPHERS: Final = {
    **dict.fromkeys(("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"), ""),
    **{
        f"TLS_ECDHE_{key}_WITH_{cipher}": f"ECDHE-{key}-"
        + cipher.replace("AES_", "AES").replace("_CBC", "").replace("_", "-")
        for key in ("ECDSA", "RSA")
        for cipher in _TLS12_CIPHERS
    },
    **{f"TLS_ECDHE_{key}_WITH_CHACHA20_POLY1305_SHA256": f"ECDHE-{key}-CHACHA20-POLY1305" for key in ("ECDSA", "RSA")},
}
"""Cipher suites: Go's name to OpenSSL's."""

CURVES: Final = {"X25519": "X25519", "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}
"""Curves: Go's name to OpenSSL's."""


def _pem(value: object) -> SecretStr:
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str) or "-----BEGIN " not in value or len(value) > _MAX_PEM:
        raise RedactedError(f"is not PEM (-----BEGIN …) of up to {_MAX_PEM} characters")
    return SecretStr(value)


def _suite(name: str) -> None:
    if name not in CIPHERS:
        raise ValueError(f"is not a supported cipher suite; {suggestion(name, CIPHERS)}")


def _curve(name: str) -> None:
    if name not in CURVES:
        raise ValueError(f"is not a curve; {suggestion(name, CURVES)}")


def _client_auth(name: str) -> None:
    if name in {"RequireAnyClientCert", "RequireClientCert"}:
        raise ValueError("accepts unverified certificates and is not supported; expected RequireAndVerifyClientCert")
    known = ("NoClientCert", "RequestClientCert", *VERIFYING)
    if name not in known:
        raise ValueError(f"is not a client_auth_type; {suggestion(name, known)}")


def _version(name: str) -> None:
    if name in {"TLS10", "TLS11"}:
        raise ValueError("is deprecated (RFC 8996) and not supported; expected TLS12 or TLS13")
    if name not in {"TLS12", "TLS13"}:
        raise ValueError("is not a TLS version; expected TLS12 or TLS13")


def _flag(value: object) -> bool:
    # Compared one by one: the value may be an unhashable list.
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise ValueError("is neither true nor false")


Pem = Annotated[SecretStr, BeforeValidator(_pem), Kind("PEM")]
Flag = Annotated[bool, BeforeValidator(_flag), Kind("true or false")]
Version = Annotated[str, checked(_version), Kind("one of", "TLS12, TLS13")]
Short = Annotated[str, Field(min_length=1, max_length=300)]


class TlsServerConfig(Section):
    """`tls_server_config`: certificates, client authentication, versions and ciphers."""

    cert: Pem | None = None
    key: Pem | None = None
    client_ca: Pem | None = None
    cert_file: ExistingFile | None = None
    key_file: ExistingFile | None = None
    client_auth_type: Annotated[str, checked(_client_auth)] = "NoClientCert"
    client_ca_file: ExistingFile | None = None
    client_allowed_sans: Annotated[tuple[Short, ...], Field(min_length=1, max_length=_MAX_SANS)] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: Annotated[tuple[Annotated[str, checked(_suite)], ...], Field(max_length=50)] = ()
    curve_preferences: Annotated[tuple[Annotated[str, checked(_curve)], ...], Field(max_length=10)] = ()
    prefer_server_cipher_suites: Flag = True

    @property
    def files(self) -> tuple[Path, ...]:
        """Certificate and key files."""
        return tuple(path for path in (self.cert_file, self.key_file, self.client_ca_file) if path is not None)

    @property
    def is_enabled(self) -> bool:
        """True if TLS is enabled, by the same keys as in Prometheus."""
        keys = {"cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file", "client_auth_type"}
        return any(getattr(self, key) is not None for key in keys & self.model_fields_set)
