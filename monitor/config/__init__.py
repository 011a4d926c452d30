"""The configuration: one YAML file, checked whole, as one frozen value.

Data flows: `document` (text → nodes with lines) → `model` (`probe`, `relay`, `slo`, of the types in `fields`,
`secrets`, `units`) → `checks` (what must hold between values; `objectives` for the SLOs, by the events that `traffic`
counts) → `loading`, which gathers all faults (`faults`).
`changes` tells two configurations apart.
`schema` and `reference` describe the same models to editors and to people; `crontab` is what a cron line means.
"""

from monitor.config.changes import Changes, Place, changes, refusals
from monitor.config.loading import load, parse
from monitor.config.model import AlertsConfig, Config, MaintenanceConfig, PrometheusConfig, ServerConfig
from monitor.config.probe import ConfirmConfig, Continuous, Cron, Every, ProbeConfig, Schedule
from monitor.config.relay import DnsEndpoint, HeadersConfig, HistoryConfig, LimitsConfig, RelayConfig, TlsConfig
from monitor.config.schema import schema
from monitor.config.secrets import SecretFile, reveal
from monitor.config.slo import OverrideConfig, SloConfig
from monitor.config.units import parse_duration, parse_ratio, show_duration, show_ratio

__all__ = [
    "AlertsConfig",
    "Changes",
    "Config",
    "ConfirmConfig",
    "Continuous",
    "Cron",
    "DnsEndpoint",
    "Every",
    "HeadersConfig",
    "HistoryConfig",
    "LimitsConfig",
    "MaintenanceConfig",
    "OverrideConfig",
    "Place",
    "ProbeConfig",
    "PrometheusConfig",
    "RelayConfig",
    "Schedule",
    "SecretFile",
    "ServerConfig",
    "SloConfig",
    "TlsConfig",
    "changes",
    "load",
    "parse",
    "parse_duration",
    "parse_ratio",
    "refusals",
    "reveal",
    "schema",
    "show_duration",
    "show_ratio",
]
