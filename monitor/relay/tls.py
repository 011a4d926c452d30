"""TLS for `wss`: the context, what a failed handshake means, and when the certificate ends."""

from __future__ import annotations

import functools
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509

from monitor.errors import LocalError, ProbeError
from monitor.vocabulary import Reason, Step

if TYPE_CHECKING:
    import asyncio

    from monitor.relay.target import TlsOptions

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_EXPIRED: Final = {9, 10}  # not yet valid, has expired
_NAME: Final = {62, 64}  # hostname, IP address

# Alerts with which a server turns down the client's certificate, or asks in vain for one. TLS 1.3 has a word for
# that (certificate_required); a TLS 1.2 server says handshake_failure, RFC 5246 section 7.4.6.
_ABOUT_OURS: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")

_DER: Final = 2  # _ssl.ENCODING_DER


def context(options: TlsOptions | None) -> ssl.SSLContext:
    """A verifying client context. Raises `LocalError` for files that cannot be used.

    Reading the system's authorities takes tens of milliseconds, in which nothing else would be measured, so a context
    is kept until one of its files changes.
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
        # An encrypted key without a password would have OpenSSL ask the terminal, and wait.
        made.load_cert_chain(options.cert_file, options.key_file, password=lambda: "")
    # Set by default from Python 3.13 on, and asked for by no wallet: a relay its users reach is not untrusted.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.set_alpn_protocols(["http/1.1"])
    return made


def obstacle_of(error: BaseException) -> ProbeError:
    """What a TLS error means, during the handshake or on the first read (a TLS 1.3 client certificate)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = Reason.TLS_UNTRUSTED
        if error.verify_code in _EXPIRED:
            reason = Reason.TLS_EXPIRED
        elif error.verify_code in _NAME:
            reason = Reason.TLS_NAME
        return ProbeError(Step.TLS, reason, error.verify_message)
    if isinstance(error, ssl.SSLError):
        text = str(error.reason or error)[:200]
        alert = text.upper()
        ours = "ALERT" in alert and any(word in alert for word in _ABOUT_OURS)
        return ProbeError(Step.TLS, Reason.TLS_CLIENT_CERTIFICATE if ours else Reason.PROTOCOL, text)
    if isinstance(error, ConnectionError | EOFError):
        return ProbeError(Step.TLS, Reason.RESET, "connection lost in the TLS handshake")
    if isinstance(error, TimeoutError):
        return ProbeError(Step.TLS, Reason.TIMEOUT, "connection timed out in the TLS handshake")
    if isinstance(error, ValueError):
        return LocalError(Step.TLS, Reason.INTERNAL, f"no TLS to this name: {error}")
    return ProbeError(Step.TLS, Reason.PROTOCOL, str(error)[:200])


def not_after(transport: asyncio.BaseTransport) -> float | None:
    """The earliest expiry in the chain that was verified, as seconds since the epoch; None for no certificate."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    expiries = [float(ssl.cert_time_to_seconds(certificate["notAfter"]))]
    for der in _chain(tls):
        with suppress(ValueError):  # OpenSSL is content with more than this parser: it is not the relay's fault
            expiries.append(x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp())
    return min(expiries)


def _chain(tls: ssl.SSLObject) -> list[bytes]:
    """The verified chain in DER: public from Python 3.13 on, and one level down in 3.11 and 3.12, both past change."""
    if hasattr(tls, "get_verified_chain"):
        chain: list[bytes] = tls.get_verified_chain()
        return chain
    read = getattr(getattr(tls, "_sslobj", None), "get_verified_chain", None)
    return [certificate.public_bytes(_DER) for certificate in read() or ()] if read is not None else []
