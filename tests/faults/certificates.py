"""Server certificates: valid, expired, for another name, or of an unknown authority."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class Certificates:
    """Two authorities: one that the monitor trusts by its `ca_file`, and one that it does not."""

    def __init__(self, folder: Path) -> None:
        self._trusted, self._untrusted = trustme.CA(), trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._trusted.cert_pem.write_to_path(self.ca_file)

    def server(
        self,
        name: str = "127.0.0.1",
        *,
        trusted: bool = True,
        expired: bool = False,
        days: int | None = None,
        requires_client: bool = False,
        ciphers: str = "",
    ) -> ssl.SSLContext:
        """Return a server's TLS context.

        Its certificate expires in `days`, if given. With `requires_client` it requires a client certificate. With
        `ciphers` it has only TLS 1.2 with these.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        now = datetime.now(UTC)
        left = -1 if expired else days
        expires = None if left is None else now + timedelta(days=left)
        authority = self._trusted if trusted else self._untrusted
        authority.issue_cert(name, not_before=now - timedelta(days=30), not_after=expires).configure_cert(context)
        if requires_client:
            self._trusted.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        if ciphers:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(ciphers)
        return context
