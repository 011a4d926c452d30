"""Create an `ssl.SSLContext` from `tls_server_config`."""

from __future__ import annotations

import os
import ssl
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from monitor.errors import StartupError
from monitor.web.tls_config import CIPHERS, CURVES, VERIFYING

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from monitor.web.tls_config import TlsServerConfig

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def server_context(tls: TlsServerConfig) -> ssl.SSLContext:
    """Return the server's TLS context; files are read now. Raises `StartupError` naming the unusable setting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.min_version]
    context.maximum_version = _VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if suites := [CIPHERS[name] for name in tls.cipher_suites if CIPHERS[name]]:
        context.set_ciphers(":".join(suites))
    if tls.curve_preferences:
        context.set_ecdh_curve(CURVES[tls.curve_preferences[0]])
    with ExitStack() as opened:
        cert = _location(tls.cert, tls.cert_file, opened)
        key = _location(tls.key, tls.key_file, opened)
        try:
            # Without a password callback OpenSSL would prompt on the terminal for an encrypted key.
            context.load_cert_chain(cert, key, password=lambda: "")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise StartupError(f"has a certificate and a key that cannot be used together: {_why(error)}") from None
    if tls.client_auth_type in VERIFYING:
        _verify_clients(context, tls)
    return context


def _verify_clients(context: ssl.SSLContext, tls: TlsServerConfig) -> None:
    context.verify_mode = VERIFYING[tls.client_auth_type]
    try:
        if tls.client_ca is not None:
            context.load_verify_locations(cadata=tls.client_ca.get_secret_value())
        elif tls.client_ca_file is not None:
            context.load_verify_locations(tls.client_ca_file)
        else:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (OSError, ValueError) as error:
        raise StartupError(f"has a client_ca that cannot be used: {_why(error)}") from None


def _location(text: SecretStr | None, path: Path | None, opened: ExitStack) -> str:
    """Return the path of a PEM for OpenSSL, which reads files only; text is put into an anonymous file."""
    if text is None:
        return str(path)
    if hasattr(os, "memfd_create"):
        file = opened.enter_context(os.fdopen(os.memfd_create("pem"), "w+b"))
    else:  # pragma: no cover - not on Linux
        file = opened.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is closed with the stack
    file.write(text.get_secret_value().encode())
    file.flush()
    file.seek(0)
    return f"/dev/fd/{file.fileno()}"


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
