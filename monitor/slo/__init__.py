"""Service level objectives: from the configuration to rules, dashboards and runbooks, and a forecast of the alerts.

`generate` writes every file, from `rules`, `alertmanager`, `dashboards` and `runbooks`. `forecast` estimates when the
alerts page, from `simulation`, `outage`, `trend` and `nodes`. Events are counted by `monitor.config.traffic`; the
alert conditions are those of `monitor.burn_rate`.
"""
