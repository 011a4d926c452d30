"""The generated Alertmanager configuration, by amtool."""

from __future__ import annotations

import pytest

from tests.e2e.programs import AMTOOL, find
from tests.relays import ROOT
from tests.slo.rules.promtool import run


@pytest.mark.required_counterpart("amtool")
class TestAmtool:
    FILE = ROOT / "alerts" / "alertmanager.yml"

    def test_check_config_passes(self) -> None:
        run(find(AMTOOL), "check-config", self.FILE)

    @pytest.mark.parametrize(
        ("labels", "receiver"),
        [
            ("alertname=RelayDown severity=critical relay=demo", "pages"),
            ("alertname=RelayErrorBudgetBurn severity=warning relay=demo", "tickets"),
            ("alertname=RelayMonitorAbsent severity=critical", "pages"),
            ("alertname=Watchdog severity=none", "dead-mans-switch"),
            ("alertname=RelayInMaintenance severity=info relay=demo", "nobody"),
        ],
    )
    def test_alerts_are_routed_to_their_receiver(self, labels: str, receiver: str) -> None:
        command = (find(AMTOOL), "config", "routes", "test", f"--config.file={self.FILE}", "service=relay-monitor")
        assert run(*command, *labels.split()).strip() == receiver
