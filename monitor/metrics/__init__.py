"""Prometheus metrics of runs and reports.

`declared` lists every metric; `exporter` accepts what probes publish and renders it; `series` has the series of one
probe at one relay; `reference` writes docs/metrics.md.
"""

from monitor.metrics.exporter import Metrics

__all__ = ["Metrics"]
