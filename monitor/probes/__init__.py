"""Probes: what the monitor does to a relay. One file a scenario, one signature (`runner.Probe`), one `registry`.

`bench` is what a probe works with, `pair` a dApp and a wallet with the account of their messages, `ledger` the
verdicts on them, `holding` a bare connection, `grid` a continuous probe's slots, `run` the values that come out.
Data flows: schedule → `runner.execute` → probe → `Run` and `Report` values → whoever `ProbeContext.publish` names.
"""
