"""TLS for `wss`: the context, and what a failed handshake means."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from monitor.catalogue import Reason, Step
from monitor.errors import Obstacle, OwnFault

if TYPE_CHECKING:
    import asyncio

    from monitor.relay.target import TlsOptions

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_EXPIRED: Final = {9, 10}  # not yet valid, has expired
_NAME: Final = {62, 64}  # hostname, IP address


def context(options: TlsOptions | None) -> ssl.SSLContext:
    """A verifying client context. Raises `Obstacle` for files that cannot be used."""
    try:
        made = ssl.create_default_context(cafile=str(options.ca_file) if options and options.ca_file else None)
        if options is not None and options.cert_file is not None:
            made.load_cert_chain(str(options.cert_file), str(options.key_file) if options.key_file else None)
    except OSError as error:  # ssl.SSLError is one
        what = error.strerror or str(error)
        raise OwnFault(Step.TLS, Reason.INTERNAL, f"tls files of the configuration: {what}") from error
    made.set_alpn_protocols(["http/1.1"])
    return made


def obstacle_of(error: BaseException) -> Obstacle:
    """What a TLS error means, during the handshake or on the first read (a TLS 1.3 client certificate)."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = Reason.TLS_UNTRUSTED
        if error.verify_code in _EXPIRED:
            reason = Reason.TLS_EXPIRED
        elif error.verify_code in _NAME:
            reason = Reason.TLS_NAME
        return Obstacle(Step.TLS, reason, error.verify_message)
    if isinstance(error, ssl.SSLError):
        text = f"{error.reason or error}".upper()
        wants_certificate = "CERTIFICATE_REQUIRED" in text or "BAD_CERTIFICATE" in text or "HANDSHAKE_FAILURE" in text
        reason = Reason.TLS_CLIENT_CERTIFICATE if wants_certificate else Reason.PROTOCOL
        return Obstacle(Step.TLS, reason, str(error.reason or error)[:200])
    if isinstance(error, ConnectionError | EOFError):
        return Obstacle(Step.TLS, Reason.RESET, "connection lost in the TLS handshake")
    return Obstacle(Step.TLS, Reason.PROTOCOL, str(error)[:200])


def not_after(transport: asyncio.BaseTransport) -> float | None:
    """The earliest expiry in the chain the relay showed, as seconds since the epoch; the leaf's where only that is known."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert() if tls is not None else None
    if not certificate:
        return None
    expiries = [float(ssl.cert_time_to_seconds(certificate["notAfter"]))]
    chain = getattr(tls, "get_verified_chain", None)  # Python 3.13 on
    if chain is not None:
        from cryptography import x509  # noqa: PLC0415 - only where there is a chain to read

        expiries += [x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp() for der in chain()]
    return min(expiries)
