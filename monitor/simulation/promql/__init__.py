"""A small PromQL: it reads the generated expressions, and evaluates them on simulated series at many times at once.

It has what the generated rules use, and refuses the rest. The rules are judged by Prometheus' own `promtool` in tests.
"""

from monitor.simulation.promql.evaluate import Evaluator
from monitor.simulation.promql.parse import PromqlError, parse, selectors, selectors_of
from monitor.simulation.promql.series import Labels, Series, Store, labels

__all__ = ["Evaluator", "Labels", "PromqlError", "Series", "Store", "labels", "parse", "selectors", "selectors_of"]
