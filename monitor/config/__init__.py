"""The configuration: one YAML file, loaded as one frozen value or rejected with every problem in it.

`loading` reads a file: `document` parses the text into nodes with lines, `model` (with `probe`, `relay` and `slo`, made
of the types in `fields`, `secrets` and `units`) validates single values, `checks` (with `objectives`, `traffic`,
`drill` and `capacity`) validates values against each other, `problems` turns what they find into messages. `changes`
compares two configurations; `schema` and `reference` describe the models; `crontab` computes the times of a cron line.
"""

from monitor.config.addresses import monitor_url
from monitor.config.changes import Changes, ProbeKey, changes, refusals
from monitor.config.drill import drill_timeout, drill_webhook, min_drill_timeout
from monitor.config.loading import load, parse, text_of
from monitor.config.model import (
    AlertsConfig,
    Config,
    DegradedConfig,
    DrillConfig,
    MaintenanceConfig,
    MetricsConfig,
    PrometheusConfig,
    ServerConfig,
)
from monitor.config.probe import Continuous, Cron, Every, ProbeConfig, Schedule
from monitor.config.relay import (
    ConfirmConfig,
    DnsEndpoint,
    HeadersConfig,
    HistoryConfig,
    LimitsConfig,
    RelayConfig,
    TlsConfig,
)
from monitor.config.schema import schema
from monitor.config.secrets import SecretFile, reveal
from monitor.config.sharding import shard_of
from monitor.config.slo import OverrideConfig, SloConfig
from monitor.config.units import parse_duration, parse_ratio, show_duration, show_ratio

__all__ = [
    "AlertsConfig",
    "Changes",
    "Config",
    "ConfirmConfig",
    "Continuous",
    "Cron",
    "DegradedConfig",
    "DnsEndpoint",
    "DrillConfig",
    "Every",
    "HeadersConfig",
    "HistoryConfig",
    "LimitsConfig",
    "MaintenanceConfig",
    "MetricsConfig",
    "OverrideConfig",
    "ProbeConfig",
    "ProbeKey",
    "PrometheusConfig",
    "RelayConfig",
    "Schedule",
    "SecretFile",
    "ServerConfig",
    "SloConfig",
    "TlsConfig",
    "changes",
    "drill_timeout",
    "drill_webhook",
    "load",
    "min_drill_timeout",
    "monitor_url",
    "parse",
    "parse_duration",
    "parse_ratio",
    "refusals",
    "reveal",
    "schema",
    "shard_of",
    "show_duration",
    "show_ratio",
    "text_of",
]
