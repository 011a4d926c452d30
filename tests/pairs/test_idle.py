from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from monitor import relays
from monitor.results import CertificateSeen, Run
from tests.faults.certificates import Certificates
from tests.probes.harness import probe_at
from tests.probes.odd import odd_relay

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


async def test_a_certificate_that_no_probe_sees_is_looked_at_every_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "CERTIFICATE_CHECK_INTERVAL", 0.02)
    monkeypatch.setattr(relays, "CERTIFICATE_AGE", 0.1)
    certificates = Certificates(tmp_path)
    trusting = {"tls": {"ca_file": str(certificates.ca_file)}}
    async with (
        odd_relay(tls=certificates.server()) as relay,
        probe_at(relay.url, "steady-state", relay=trusting, connections="1", schedule="continuous") as made,
    ):
        asked = asyncio.get_running_loop().time()
        made.monitored_relays.spawn(made.monitored_relays.check_certificates())
        await made.until(lambda: len(made.all(CertificateSeen)) >= 3)
        assert asyncio.get_running_loop().time() - asked > 0.2, "not at every check"
        assert made.all(Run) == []
        assert relay.connects <= len(made.all(CertificateSeen)) + 1


async def test_a_relay_without_tls_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relays, "CERTIFICATE_CHECK_INTERVAL", 0.01)
    async with odd_relay() as relay, probe_at(relay.url, "steady-state", schedule="continuous") as made:
        made.monitored_relays.spawn(made.monitored_relays.check_certificates())
        await asyncio.sleep(0.1)  # not virtual: a real relay
        assert relay.connects == 0
