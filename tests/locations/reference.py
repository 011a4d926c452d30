"""Write deploy/locations/alertmanager.yml: the routes that `generate` makes, as a branch of a company's own tree.

`python -m tests.locations.reference [--check]`.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import Config, parse, text_of
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
    """Write the file, or only compare it with `--check`. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.locations.reference", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file is outdated")
    options = parser.parse_args(arguments)
    wanted = render()
    if TARGET.exists() and TARGET.read_text("utf-8") == wanted:
        return 0
    if options.check:
        sys.stderr.write(f"{TARGET} does not match {CONFIG}: run make docs\n")
        return 1
    TARGET.write_text(wanted, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
