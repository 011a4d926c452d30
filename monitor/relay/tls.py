"""TLS for `wss`: client contexts, handshake errors and certificate expiry."""

from __future__ import annotations

import functools
import ssl
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from monitor.errors import LocalError, ProbeError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    import asyncio

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_EXPIRED: Final = {9, 10}  # not yet valid, has expired
_NAME_MISMATCH: Final = {62, 64}  # hostname, IP address

# Alerts of a server that rejects or misses the client's certificate. TLS 1.3 has certificate_required for a missing
# one; a TLS 1.2 server sends handshake_failure (RFC 5246, section 7.4.6).
_CLIENT_CERTIFICATE_ALERTS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")

_DER: Final = 2  # _ssl.ENCODING_DER


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """TLS settings of a relay: PEM files, and the server name to verify."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None


def context(options: TlsOptions | None) -> ssl.SSLContext:
    """Return a verifying client context. Raises `LocalError` for files that cannot be used.

    Contexts are cached until one of their files changes: loading the system's authorities blocks the event loop for
    tens of milliseconds.
    """
    files = [Path(path) for path in (ssl.get_default_verify_paths().cafile,) if path]
    if options is not None:
        files += [path for path in (options.ca_file, options.cert_file, options.key_file) if path is not None]
    try:
        return _context(options, tuple(path.stat().st_mtime_ns for path in files if path.is_file()))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        what = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise LocalError(Step.TLS, Reason.INTERNAL, f"the relay's tls files cannot be used: {what}") from error


@functools.lru_cache(maxsize=64)
def _context(options: TlsOptions | None, _versions: tuple[int, ...]) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(options.ca_file) if options and options.ca_file else None)
    if options is not None and options.cert_file is not None:
        # Without a password callback OpenSSL would prompt on the terminal for an encrypted key.
        made.load_cert_chain(options.cert_file, options.key_file, password=lambda: "")
    # Python 3.13 sets this flag by default; wallets do not, and they reach such a relay.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.set_alpn_protocols(["http/1.1"])
    return made


def of_tls_error(error: BaseException) -> ProbeError:
    """Return the error for a failed TLS handshake, or a failed first read (TLS 1.3 client certificates)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = Reason.TLS_UNTRUSTED
        if error.verify_code in _EXPIRED:
            reason = Reason.TLS_EXPIRED
        elif error.verify_code in _NAME_MISMATCH:
            reason = Reason.TLS_NAME
        return ProbeError(Step.TLS, reason, error.verify_message)
    if isinstance(error, ssl.SSLError):
        text = str(error.reason or error)[:200]
        alert = text.upper()
        client_certificate = "ALERT" in alert and any(word in alert for word in _CLIENT_CERTIFICATE_ALERTS)
        return ProbeError(Step.TLS, Reason.TLS_CLIENT_CERTIFICATE if client_certificate else Reason.PROTOCOL, text)
    if isinstance(error, ConnectionError | EOFError):
        return ProbeError(Step.TLS, Reason.RESET, "connection lost in the TLS handshake")
    if isinstance(error, TimeoutError):
        return ProbeError(Step.TLS, Reason.TIMEOUT, "connection timed out in the TLS handshake")
    if isinstance(error, ValueError):
        return LocalError(Step.TLS, Reason.INTERNAL, f"invalid TLS server name: {error}")
    return ProbeError(Step.TLS, Reason.PROTOCOL, str(error)[:200])


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
