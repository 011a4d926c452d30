"""Probes: one file per scenario, one signature (`runner.Probe`), one `registry`.

Data flow: schedule → `runner.execute` → probe → `Run` and `Report` values → `ProbeContext.publish`.
"""
