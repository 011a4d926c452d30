"""Runs and reports in, series out: the only place that knows Prometheus.

`declared` lists every series; `exporter` makes them, fills them from what probes publish, and renders them;
`reference` writes docs/metrics.md from the same list.
"""

from monitor.metrics.exporter import Metrics

__all__ = ["Metrics"]
