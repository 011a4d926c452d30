"""The configuration as one frozen value. `checks` has the checks between its parts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field

from monitor.config.fields import (
    THAWED,
    AlertLabels,
    Duration,
    ExistingFile,
    HostName,
    HostPort,
    Kind,
    LabelText,
    Listen,
    MonitorUrl,
    Name,
    OneOrMore,
    PlainPath,
    Ratio,
    Section,
    Size,
    Text,
    WebUrl,
    frozen,
    no_entries,
    one_or_more,
    split_host_port,
)
from monitor.config.probe import CronLine, ProbeConfig, TimeZone
from monitor.config.relay import RelayConfig
from monitor.config.slo import SloConfig


class ServerConfig(Section):
    """The monitor's own HTTP server."""

    listen: Listen = Field("127.0.0.1:9464", description="address to listen on; port 0 selects a free one")
    web_config_file: ExistingFile | None = Field(
        None, description="TLS and basic auth, in the format of Prometheus' web configuration"
    )
    allowed_hosts: Annotated[tuple[HostName, ...], Field(max_length=100), BeforeValidator(one_or_more), OneOrMore()] = (
        Field(
            (),
            description="further names under which pages and API are served without TLS and users, beside that of "
            "`alerts.external_url`; requests for other names are rejected, "
            "which protects against DNS rebinding",
        )
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
    """A maintenance window. Runs continue in it and are `excluded`."""

    relays: Annotated[tuple[Name, ...], Field(max_length=1000), BeforeValidator(one_or_more), OneOrMore()] = Field(
        (), description="its relays; all of them by default"
    )
    cron: CronLine = Field(description="when the window opens")
    timezone: TimeZone = Field("UTC", description="time zone of the crontab line")
    duration: Annotated[float, Duration("1m", "7d")] = Field(description="length of the window")
    reason: Text = Field("maintenance", description="reason shown on pages and in logs")


class PrometheusConfig(Section):
    """The Prometheus that scrapes this monitor. `simulate`, the checks and the pages use it."""

    url: WebUrl | None = Field(
        None, description="its URL: the pages then show all locations' conditions and budgets, and firing alerts"
    )
    username: Text | None = Field(None, description="user for basic authentication, with `password_file`")
    password_file: ExistingFile | None = Field(None, description="file with the password, read at each request")
    bearer_token_file: ExistingFile | None = Field(
        None, description="file with a bearer token, read at each request; instead of `username` and `password_file`"
    )
    ca_file: ExistingFile | None = Field(None, description="certificates to trust instead of the system's")
    scrape_interval: Annotated[float, Duration("1s", "5m")] = Field(15.0, description="scrape interval")
    evaluation_interval: Annotated[float, Duration("1s", "5m")] = Field(
        15.0, description="evaluation interval of the rules"
    )

    @property
    def step(self) -> float:
        """The longer of the two intervals, in seconds: within it an evaluation sees a new scrape."""
        return max(self.scrape_interval, self.evaluation_interval)


class OwnerConfig(Section):
    """What alerts of one owner's relays have of their own."""

    runbook_base_url: WebUrl | None = Field(None, description="URL of the owner's runbooks, as that of all alerts")


class AlertsConfig(Section):
    """The texts of generated alerts."""

    runbook_base_url: WebUrl = Field(
        "https://runbooks.example.com/relay-monitor",
        description="URL of docs/runbooks/, such as that of the folder on a Git server; an alert adds its name and .md",
    )
    grafana_url: WebUrl = Field("http://127.0.0.1:3000", description="URL of the Grafana with the generated dashboards")
    external_url: MonitorUrl = Field(
        "http://127.0.0.1:9464",
        description="URL at which users reach this monitor's pages; `{location}` and `{shard}` in it are replaced by "
        "those of the monitor that the alert is about",
    )
    labels: AlertLabels = Field(default_factory=no_entries, description="labels added to every alert, for routing")
    owners: Annotated[
        Mapping[LabelText, OwnerConfig],
        Field(max_length=100),
        AfterValidator(frozen),
        THAWED,
        Kind("owner → `{runbook_base_url}`"),
    ] = Field(default_factory=no_entries, description="owners of relays whose alerts link to other runbooks")

    def runbook_url(self, alert: str, owner: str | None = None) -> str:
        """Return the address of an alert's runbook, that of the relay's owner if it has one."""
        settings = self.owners.get(owner) if owner is not None else None
        own = settings.runbook_base_url if settings is not None else None
        return f"{(own or self.runbook_base_url).rstrip('/')}/{alert}.md"


class DrillConfig(Section):
    """Drills of the page chain: a reserved relay is set down until its notification comes back to this monitor."""

    cron: CronLine | None = Field(None, description="when drills start; null: only by `relay-monitor drill`")
    timezone: TimeZone = Field("UTC", description="time zone of the crontab line")
    timeout: Annotated[float, Duration("10s", "30m")] | None = Field(
        None,
        description="time after which a drill has failed; null: 3m, or more if the intervals of `prometheus` need it",
    )
    webhook_url: MonitorUrl | None = Field(
        None, description="URL at which Alertmanager reaches this monitor; null: `alerts.external_url`"
    )
    token_file: ExistingFile | None = Field(
        None,
        description="file with the token that Alertmanager must send with a notification, read at each one; null: the "
        "right to read is enough",
    )


class DegradedConfig(Section):
    """When a relay that is up counts as degraded."""

    window: Annotated[float, Duration("1m", "1h")] = Field(
        300.0, description="the time that is looked at, and that must be free of faults before the relay counts as up"
    )
    failure_ratio: Ratio = Field(Decimal("0.05"), description="share of bad exchanges")
    failures: int = Field(3, ge=1, le=1000, description="bad exchanges that are needed beside that share")


class JournalConfig(Section):
    """What the journal keeps: runs, their sums, incidents."""

    max_age: Annotated[float, Duration("1d", "1y")] = Field(
        2_592_000.0, description="age at which everything is removed; budgets cover no longer time"
    )
    max_size: Annotated[int, Size("50MB", "100GB")] = Field(
        500_000_000, description="size of its file; before that is reached, the oldest runs are removed"
    )


class MetricsConfig(Section):
    """What `/metrics` has."""

    detail: Literal["standard", "lean"] = Field(
        "standard", description="`lean`: only the series that the rules and the overview dashboard read"
    )


class Config(Section):
    """The configuration of one monitor."""

    install: Name = Field(
        "default",
        description="name of this set of monitors, which tells it from others in one Prometheus: a label of all series "
        "and alerts",
    )
    location: Name = Field("local", description="where this monitor runs: a label of all its series")
    locations: Annotated[
        tuple[Name, ...], Field(min_length=1, max_length=100), BeforeValidator(one_or_more), OneOrMore()
    ] = Field(
        default_factory=lambda data: (data.get("location", "local"),),
        description="locations of all monitors of these relays, for quorum and absence rules; by default this one",
    )
    shards: int = Field(
        1,
        ge=1,
        le=1000,
        description="processes among which a location's relays are divided (`run --shard I/N`), for absence rules",
    )
    server: ServerConfig = Field(default_factory=ServerConfig, description="the monitor's own HTTP server")
    state_dir: PlainPath | None = Field(
        None,
        description="folder that keeps the journal and the relays' conditions over restarts; null: in memory only",
    )
    journal: JournalConfig = Field(default_factory=JournalConfig, description="what the journal keeps")
    references: Annotated[tuple[HostPort, ...], Field(max_length=10)] = Field(
        (),
        description="two or more independent hosts that are checked when a relay seems down, to rule out a local fault",
    )
    relays: Annotated[tuple[RelayConfig, ...], Field(min_length=1, max_length=1000)] = Field(
        description="the monitored relays"
    )
    probes: Annotated[tuple[ProbeConfig, ...], Field(min_length=1, max_length=200)] = Field(description="the probes")
    slos: Annotated[tuple[SloConfig, ...], Field(max_length=200)] = Field((), description="the SLOs")
    maintenance: Annotated[tuple[MaintenanceConfig, ...], Field(max_length=1000)] = Field(
        (), description="maintenance windows, in which failures do not count"
    )
    degraded: DegradedConfig = Field(
        default_factory=DegradedConfig, description="when a relay that is up counts as degraded"
    )
    metrics: MetricsConfig = Field(default_factory=MetricsConfig, description="what `/metrics` has")
    prometheus: PrometheusConfig = Field(
        default_factory=PrometheusConfig, description="the Prometheus that scrapes this monitor"
    )
    alerts: AlertsConfig = Field(default_factory=AlertsConfig, description="texts of generated alerts")
    drill: DrillConfig = Field(default_factory=DrillConfig, description="drills of the page chain")

    def resolved(self) -> Self:
        """The same configuration with all relays listed where `relays` was left out."""
        every = tuple(relay.name for relay in self.relays)
        return self.model_copy(
            update={
                "probes": tuple(_with_relays(probe, every) for probe in self.probes),
                "maintenance": tuple(_with_relays(window, every) for window in self.maintenance),
            }
        )


def _with_relays(item: Any, every: tuple[str, ...]) -> Any:
    return item if item.relays else item.model_copy(update={"relays": every})
