"""Prometheus metrics of runs and reports.

`declared` lists every metric; `exporter` accepts what probes publish, and `page` renders it. `families` holds the
metrics of prometheus_client (`exemplars`), `series` the series of one probe at one relay, `relay_series` and
`relay_info` those of a relay; `failures` says which of them exist from the start. `once` has the metrics of single
runs, `reference` writes docs/metrics.md.
"""

from monitor.metrics.exporter import Metrics

__all__ = ["Metrics"]
