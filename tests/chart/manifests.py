"""Write docs/kubernetes-manifests.yaml: what the chart renders without hooks, for those who do not use Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.chart.rendering import SETS, template
from tests.counterparts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TARGET: Final[Path] = ROOT / "docs" / "kubernetes-manifests.yaml"
HEADER: Final = """\
# Plain manifests of relay-monitor, written by `make chart` from the Helm chart and tests/chart/sets/plain.
# Replace image and configuration; docs/kubernetes.md says more. kubectl apply --namespace monitoring --filename THIS
"""


def manifests() -> str:
    """Return the manifests. Helm must have been built."""
    own = SETS / "plain"
    return HEADER + template(f"--values={own / 'values.yaml'}", f"--values={own / 'config.yaml'}", "--no-hooks")


if __name__ == "__main__":
    TARGET.write_text(manifests(), "utf-8")
