"""Service level objectives: from the one section of `config.yaml` to what an on-call team deploys and can expect.

`traffic` says how many events the schedule makes, `burn` when a budget burns too fast; `simulation`, `outage`, `nodes`
and `forecast` say what the alerts will do.
"""
