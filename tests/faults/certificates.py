"""Certificates that are good, expired, for another name, or signed by nobody we know."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


class Certificates:
    """An authority the monitor trusts, by the file `ca_file`, and one it does not."""

    def __init__(self, folder: Path) -> None:
        self._ours, self._theirs = trustme.CA(), trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ours.cert_pem.write_to_path(self.ca_file)

    def server(
        self, name: str = "127.0.0.1", *, trusted: bool = True, expired: bool = False, asks: bool = False
    ) -> ssl.SSLContext:
        """A server's context; `asks`: it wants a certificate of its client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        now = datetime.now(UTC)
        ends = now - timedelta(days=1) if expired else None
        authority = self._ours if trusted else self._theirs
        authority.issue_cert(name, not_before=now - timedelta(days=30), not_after=ends).configure_cert(context)
        if asks:
            self._ours.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
