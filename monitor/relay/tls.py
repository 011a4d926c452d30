"""TLS for `wss`: client contexts, handshake errors and certificate expiry."""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from cryptography import x509

from monitor.errors import ProbeError, SettingsError
from monitor.threads import BoundedCalls
from monitor.vocabulary import Reason, Step

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_EXPIRED: Final = {9, 10}  # not yet valid, has expired
_NAME_MISMATCH: Final = {62, 64}  # hostname, IP address

# Alerts about the client's certificate, and the alert of a TLS 1.2 server that misses one (RFC 5246, section 7.4.6).
_CERTIFICATE_ALERTS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")
_HANDSHAKE_FAILURE: Final = "HANDSHAKE_FAILURE"

CIPHERS: Final = "@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES:kRSA+AES:!aNULL:!eNULL:!aDSS:!AESCCM:!PSK"
"""Cipher suites offered in TLS 1.2, in OpenSSL's list format.

Python's defaults, and those that browsers and Node.js offer besides: with a SHA-1 MAC, and with RSA key exchange.
"""

_HANDSHAKE_RECORD: Final = 22  # RFC 5246, section 6.2.1
_CERTIFICATE_REQUEST: Final = 13  # section 7.4
_RECORD_HEADER: Final = 5
_MESSAGE_HEADER: Final = 4

_DER: Final = 2  # _ssl.ENCODING_DER


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """TLS settings of a relay: PEM files, and the server name to verify."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None


FILE_TIMEOUT: Final = 1.0
"""Seconds within which the TLS files must be read."""

_SYSTEM_CHECK_INTERVAL: Final = 60.0
"""Seconds between two looks at the system's authorities, while no file of the relay's own is configured."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A context, the times at which its files were written, and when these were read, on the loop's clock."""

    context: ssl.SSLContext
    versions: tuple[int, ...]
    at: float


_loaded: dict[TlsOptions | None, _Loaded] = {}
_calls = BoundedCalls()


async def context(options: TlsOptions | None) -> ssl.SSLContext:
    """Return a verifying client context. Raises `SettingsError` for files that cannot be used.

    Contexts are cached until one of their files changes. Files are read in a thread: a mount may hang, and loading the
    system's authorities takes tens of milliseconds.
    """
    now = asyncio.get_running_loop().time()
    known = _loaded.get(options)
    if known is not None and options is None and 0 <= now - known.at < _SYSTEM_CHECK_INTERVAL:
        return known.context
    try:
        loaded = await _calls.call(f"TLS files {options}", partial(_load, options, known, now), FILE_TIMEOUT)
    except TimeoutError as error:
        detail = f"the relay's tls files cannot be read within {FILE_TIMEOUT:g} s; does their mount hang?"
        raise SettingsError(Step.TLS, Reason.INTERNAL, detail) from error
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        what = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        name = getattr(error, "filename", None)
        detail = f"the relay's tls files cannot be used: {what}{f': {name}' if name else ''}"
        raise SettingsError(Step.TLS, Reason.INTERNAL, detail) from error
    _loaded[options] = loaded
    return loaded.context


def _load(options: TlsOptions | None, known: _Loaded | None, now: float) -> _Loaded:
    files = [Path(path) for path in (ssl.get_default_verify_paths().cafile,) if path and Path(path).is_file()]
    if options is not None:
        files += [path for path in (options.ca_file, options.cert_file, options.key_file) if path is not None]
    versions = tuple(path.stat().st_mtime_ns for path in files)
    if known is not None and known.versions == versions:
        return _Loaded(known.context, versions, now)
    return _Loaded(_new_context(options), versions, now)


def _new_context(options: TlsOptions | None) -> ssl.SSLContext:
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)
    if options is not None and options.ca_file is not None:
        made.load_verify_locations(options.ca_file)
    else:
        made.load_default_certs()
    made.set_ciphers(CIPHERS)
    if options is not None and options.cert_file is not None:
        # Without a password callback OpenSSL would prompt on the terminal for an encrypted key.
        made.load_cert_chain(options.cert_file, options.key_file, password=lambda: "")
    # Browsers and Go ignore the Common Name.
    made.hostname_checks_common_name = False
    # `ca_file` may hold an intermediate authority alone, whatever the version of Python.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.set_alpn_protocols(["http/1.1"])
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        made.keylog_filename = key_log
    return made


class CertificateRequestedError(ssl.SSLError):
    """A TLS handshake failed after the server had requested a client certificate."""

    def __init__(self, cause: ssl.SSLError) -> None:
        super().__init__(*cause.args)
        self.reason = cause.reason


class _Handshake(ssl.SSLObject):
    """A TLS connection that records whether the server requested a client certificate.

    The ssl module does not provide this. Up to TLS 1.2 the server's handshake messages are not encrypted.
    """

    incoming: ssl.MemoryBIO
    _received = b""

    def do_handshake(self) -> None:
        """Continue the handshake. Raises `CertificateRequestedError`."""
        received = self.incoming.read()
        self.incoming.write(received)
        self._received += received
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLCertVerificationError):
            raise
        except ssl.SSLError as error:
            if _CERTIFICATE_REQUEST in _handshake_messages(self._received):
                raise CertificateRequestedError(error) from error
            raise
        self._received = b""


class _Context(ssl.SSLContext):
    """A client context that makes `_Handshake` connections."""

    sslobject_class = _Handshake

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the signature of ssl
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Return a connection over two memory buffers."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        assert isinstance(made, _Handshake)
        made.incoming = incoming
        return made


def _handshake_messages(received: bytes) -> set[int]:
    """Return the types of the unencrypted handshake messages at the start of the received bytes."""
    messages, types = b"", set()
    while received[:1] == bytes([_HANDSHAKE_RECORD]):
        stop = _RECORD_HEADER + int.from_bytes(received[3:_RECORD_HEADER])
        messages += received[_RECORD_HEADER:stop]
        received = received[stop:]
    while messages:
        types.add(messages[0])
        messages = messages[_MESSAGE_HEADER + int.from_bytes(messages[1:_MESSAGE_HEADER]) :]
    return types


def of_tls_error(error: BaseException, *, established: bool = False) -> ProbeError:
    """Return the error for a failed TLS handshake, or for a failed first read if the connection is `established`.

    An alert is about a client certificate only if the server requested one. In TLS 1.3, where the request is encrypted,
    such an alert arrives after the client has completed its handshake, when the server can reject nothing else.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = Reason.TLS_UNTRUSTED
        if error.verify_code in _EXPIRED:
            reason = Reason.TLS_EXPIRED
        elif error.verify_code in _NAME_MISMATCH:
            reason = Reason.TLS_NAME
        return ProbeError(Step.TLS, reason, error.verify_message)
    if isinstance(error, ssl.SSLError):
        return _of_alert(error, established=established)
    if isinstance(error, ConnectionError | EOFError):
        return ProbeError(Step.TLS, Reason.RESET, "connection lost in the TLS handshake")
    if isinstance(error, TimeoutError):
        return ProbeError(Step.TLS, Reason.TIMEOUT, "connection timed out in the TLS handshake")
    if isinstance(error, ValueError):
        return SettingsError(Step.TLS, Reason.INTERNAL, f"invalid TLS server name: {error}")
    return ProbeError(Step.TLS, Reason.PROTOCOL, str(error)[:200])


def _of_alert(error: ssl.SSLError, *, established: bool) -> ProbeError:
    text = str(error.reason or error)[:200]
    alert = text.upper() if "ALERT" in text.upper() else ""
    requested = isinstance(error, CertificateRequestedError)
    if (requested or established) and any(word in alert for word in _CERTIFICATE_ALERTS):
        return ProbeError(Step.TLS, Reason.TLS_CLIENT_CERTIFICATE, text)
    if _HANDSHAKE_FAILURE not in alert:
        return ProbeError(Step.TLS, Reason.PROTOCOL, text)
    if requested:
        return ProbeError(Step.TLS, Reason.TLS_CLIENT_CERTIFICATE, f"a client certificate was requested: {text}")
    return ProbeError(Step.TLS, Reason.PROTOCOL, f"no common TLS version, cipher suite or other setting: {text}")


def not_after(transport: asyncio.BaseTransport) -> float | None:
    """Return the earliest expiry of the verified chain, in seconds since the epoch; None without a certificate."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    expiries = [float(ssl.cert_time_to_seconds(certificate["notAfter"]))]
    for der in _chain(tls):
        with suppress(ValueError):  # OpenSSL accepts certificates that this parser rejects
            expiries.append(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp())
    return min(expiries)


def _chain(tls: ssl.SSLObject) -> list[bytes]:
    """Return the verified chain in DER. The method is public from Python 3.13; 3.11 and 3.12 have it on `_sslobj`."""
    if hasattr(tls, "get_verified_chain"):
        chain: list[bytes] = tls.get_verified_chain()
        return chain
    read = getattr(getattr(tls, "_sslobj", None), "get_verified_chain", None)
    return [certificate.public_bytes(_DER) for certificate in read() or ()] if read is not None else []
