"""Add Debian's packages to a list of components: `sbom.py PYTHON.json DPKG_STATUS`, CycloneDX in, CycloneDX out."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from urllib.parse import quote


def components(status: str) -> list[dict[str, str]]:
    """Return a component for each installed package of dpkg's status file, in the order of their names."""
    found = []
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            name, version, architecture = fields["Package"], fields["Version"], fields["Architecture"]
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe=':')}?arch={architecture}"
            found.append({"bom-ref": purl, "type": "library", "name": name, "version": version, "purl": purl})
    return sorted(found, key=lambda component: component["bom-ref"])


def main(python: str, status: str) -> None:
    """Run the command."""
    document = json.loads(Path(python).read_text(encoding="utf-8"))
    document["components"] += components(Path(status).read_text(encoding="utf-8"))
    json.dump(document, sys.stdout, indent=1, sort_keys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
