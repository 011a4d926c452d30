"""`relay_probe_relay_info`: a reload can change its label names, which a gauge of prometheus_client does not allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from monitor.config import show_duration
from monitor.metrics.declared import DECLARED, RELAY_INFO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from monitor.config import RelayConfig

INFO: Final = "relay_probe_relay_info"


class RelayInfo(Collector):
    """One series for each of `relays`. `labels` are install and location."""

    def __init__(self, labels: tuple[str, str]) -> None:
        self.relays: Sequence[RelayConfig] = ()
        self._labels = labels
        self._help = next(item.help for item in DECLARED if item.name == INFO)

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The metric without its series."""
        yield GaugeMetricFamily(INFO, self._help, labels=RELAY_INFO)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metric with its series."""
        relays = self.relays
        own = sorted({name for relay in relays for name in relay.labels})
        family = GaugeMetricFamily(INFO, self._help, labels=[*RELAY_INFO, *own])
        for relay in relays:
            known = (relay.name, *settings_labels(relay).values())
            family.add_metric([*self._labels, *known, *(relay.labels.get(name, "") for name in own)], 1)
        yield family


def settings_labels(relay: RelayConfig) -> dict[str, str]:
    """Return the labels of a relay's settings, in the order of `RELAY_INFO`; "" for what is not set."""
    return {
        "max_severity": relay.max_severity,
        "page_after": show_duration(relay.page_after),
        "scope": relay.scope,
        "owner": relay.owner or "",
        "group": relay.group or "",
        "centrifugo_selector": (relay.centrifugo_selector or "").strip(),
    }
