"""The configuration as one frozen value. What must hold between its parts is in `checks`."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field

from monitor.config.fields import (
    AlertLabels,
    Duration,
    ExistingFile,
    HostPort,
    Listen,
    Name,
    OneOrMore,
    PlainPath,
    Section,
    Text,
    WebUrl,
    no_entries,
    one_or_more,
    split_host_port,
)
from monitor.config.probe import CronLine, ProbeConfig, TimeZone
from monitor.config.relay import RelayConfig
from monitor.config.slo import SloConfig


class ServerConfig(Section):
    """The monitor's own HTTP server."""

    listen: Listen = Field("127.0.0.1:9464", description="where it listens; port 0 takes a free one")
    web_config_file: ExistingFile | None = Field(
        None, description="TLS and basic auth, in the format of Prometheus' own web configuration"
    )

    @property
    def host(self) -> str:
        """The host part of `listen`, without brackets."""
        return split_host_port(self.listen)[0]

    @property
    def port(self) -> int:
        """The port of `listen`."""
        return split_host_port(self.listen)[1]


class MaintenanceConfig(Section):
    """A maintenance window: runs go on in it and are `excluded`."""

    relays: Annotated[tuple[Name, ...], Field(max_length=1000), BeforeValidator(one_or_more), OneOrMore()] = Field(
        (), description="the relays worked on; all of them where this is left out"
    )
    cron: CronLine = Field(description="when the window opens")
    timezone: TimeZone = Field("UTC", description="where the clock hangs")
    duration: Annotated[float, Duration("1m", "7d")] = Field(description="how long it stays open")
    reason: Text = Field("maintenance", description="what pages and logs say meanwhile")


class PrometheusConfig(Section):
    """The Prometheus that scrapes this monitor: what `simulate` and the pages reckon with."""

    url: WebUrl | None = Field(None, description="its address, for links; null: none")
    scrape_interval: Annotated[float, Duration("1s", "5m")] = Field(15.0, description="its scrape interval")
    evaluation_interval: Annotated[float, Duration("1s", "5m")] = Field(15.0, description="its rules' interval")


class AlertsConfig(Section):
    """What generated alerts say."""

    runbook_base_url: WebUrl = Field(
        "https://runbooks.example.com/relay-monitor",
        description="where docs/runbooks/ is served, each page at its name without .md: an alert adds its own",
    )
    grafana_url: WebUrl = Field("http://127.0.0.1:3000", description="the Grafana with the generated dashboards")
    external_url: WebUrl = Field("http://127.0.0.1:9464", description="where people reach this monitor's pages")
    labels: AlertLabels = Field(default_factory=no_entries, description="labels added to every alert, to route by")


class Config(Section):
    """Everything a monitor is told."""

    location: Name = Field("local", description="where this monitor runs: a label on every series of it")
    locations: Annotated[
        tuple[Name, ...], Field(min_length=1, max_length=100), BeforeValidator(one_or_more), OneOrMore()
    ] = Field(
        default_factory=lambda data: (data.get("location", "local"),),
        description="all monitors that watch these relays, for quorum and absence rules; by default this one",
    )
    shards: int = Field(
        1, ge=1, le=1000, description="processes that share out a location's relays (`run --shard I/N`): absence rules"
    )
    server: ServerConfig = Field(default_factory=ServerConfig, description="the monitor's own HTTP server")
    state_dir: PlainPath | None = Field(
        None, description="folder that keeps the run journal across restarts; null: memory"
    )
    references: Annotated[tuple[HostPort, ...], Field(max_length=10)] = Field(
        (),
        description="two or more independent hosts, asked only when a relay seems down: is it us?",
    )
    relays: Annotated[tuple[RelayConfig, ...], Field(min_length=1, max_length=1000)] = Field(
        description="the relays under watch"
    )
    probes: Annotated[tuple[ProbeConfig, ...], Field(min_length=1, max_length=200)] = Field(
        description="what is done to them"
    )
    slos: Annotated[tuple[SloConfig, ...], Field(max_length=200)] = Field((), description="how good they must be")
    maintenance: Annotated[tuple[MaintenanceConfig, ...], Field(max_length=1000)] = Field(
        (), description="when failures do not count"
    )
    prometheus: PrometheusConfig = Field(
        default_factory=PrometheusConfig, description="the Prometheus that scrapes this monitor"
    )
    alerts: AlertsConfig = Field(default_factory=AlertsConfig, description="what generated alerts say")

    def resolved(self) -> Self:
        """The same with "all relays" spelt out wherever `relays` was left out."""
        every = tuple(relay.name for relay in self.relays)
        return self.model_copy(
            update={
                "probes": tuple(_over(probe, every) for probe in self.probes),
                "maintenance": tuple(_over(window, every) for window in self.maintenance),
            }
        )


def _over(item: Any, every: tuple[str, ...]) -> Any:
    return item if item.relays else item.model_copy(update={"relays": every})
