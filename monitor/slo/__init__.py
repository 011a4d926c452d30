"""Service level objectives: from the one section of `config.yaml` to what an on-call team deploys and can expect.

`monitor.config.traffic` says how many events the schedule makes, `monitor.burn_rate` when a budget burns too fast, and
`check` judges by both; `simulation`, `outage`, `nodes` and `forecast` say what the alerts will do.
"""
