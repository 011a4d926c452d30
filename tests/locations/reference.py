"""Write deploy/locations/alertmanager.yml: the routes that `generate` makes, as a branch of a company's own tree.

`python -m tests.locations.reference [--check]`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import Config, parse, text_of
from monitor.generated_files import write_or_check
from monitor.slo.alertmanager import route_part
from tests.counterparts import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER: Final = ROOT / "deploy" / "locations"
CONFIG: Final = FOLDER / "config.yaml"
COMPANY: Final = FOLDER / "alertmanager-company.yml"
TARGET: Final = FOLDER / "alertmanager.yml"

HEADER: Final = """\
# alertmanager-company.yml with what `relay-monitor generate --format route` prints for config.yaml: see `make docs`.
# The new route comes first: the company's own routes would take its alerts otherwise.
"""


def config(location: str = "fra") -> Config:
    """Return the configuration of a location."""
    return parse(text_of(CONFIG), str(CONFIG), {"LOCATION": location})


def merged() -> dict[str, Any]:
    """Return the company's configuration with the branch, as the head of the route says."""
    company: dict[str, Any] = yaml.safe_load(COMPANY.read_text("utf-8"))
    part = yaml.safe_load(route_part(config()))
    company["route"]["routes"].insert(0, part["route"])
    company["inhibit_rules"] += part["inhibit_rules"]
    company["receivers"] += part["receivers"]
    return company


def render() -> str:
    """Return the file."""
    return HEADER + yaml.safe_dump(merged(), sort_keys=False, width=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or only compare it with `--check`. Returns the exit status."""
    return write_or_check({TARGET: render()}, arguments)


if __name__ == "__main__":
    sys.exit(main())
