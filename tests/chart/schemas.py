"""The schemas of Kubernetes' objects, and of those of Prometheus' Operator, for kubeconform.

`python -m tests.chart.schemas` writes them to build/kubernetes-schemas/: a folder for each version of Kubernetes, from
the package kubernetes-validate, and `operator`, from the Operator's custom resource definitions.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import yaml

from tests.counterparts import BUILD, TIMEOUT, Counterpart, go

KUBERNETES: Final = ("1.28.0", "1.37.0")
"""The oldest version that the chart supports, and the newest one in the package."""

PACKAGE: Final = (
    "kubernetes-validate==1.37.0 --hash=sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
)
KINDS: Final = (
    *("configmap-v1", "job-batch-v1", "networkpolicy-networking-v1", "pod-v1", "poddisruptionbudget-policy-v1"),
    *("service-v1", "statefulset-apps-v1"),
)
REFERENCE: Final = re.compile(r'"(?:/api/_definitions\.json)?#/\$defs/([^"]+)"')

OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
OPERATOR_KINDS: Final = ("prometheusrules", "servicemonitors")
PATTERN: Final = "{{.ResourceKind}}{{.KindSuffix}}.json"
"""Kubeconform's template for the name of a schema's file."""


def build(path: Path) -> None:
    """Write all schemas below `path`. Raises `MissingToolError`, and `RuntimeError` if a download fails."""
    program = go()
    with tempfile.TemporaryDirectory(dir=BUILD, prefix="schemas.") as name:
        folder = Path(name)
        (folder / "requirements.txt").write_text(PACKAGE, "utf-8")
        uv = Path(sys.executable).with_name("uv")
        target = ("--target", folder / "package", "--no-deps", "--require-hashes")
        _run(uv, "pip", "install", "--quiet", *target, "-r", folder / "requirements.txt", folder=folder)
        made = folder / "made"
        for version in KUBERNETES:
            strict = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict"
            (made / version).mkdir(parents=True)
            definitions = json.loads((folder / "package" / strict / "_definitions.json").read_text("utf-8"))["$defs"]
            for kind in KINDS:
                text = (folder / "package" / strict / f"{kind}.json").read_text("utf-8")
                (made / version / f"{kind}.json").write_text(json.dumps(_standalone(text, definitions)), "utf-8")
        module = json.loads(_run(program, "mod", "download", "-json", OPERATOR, folder=folder))
        (made / "operator").mkdir()
        for kind in OPERATOR_KINDS:
            definition = Path(module["Dir"], "example", "prometheus-operator-crd", f"monitoring.coreos.com_{kind}.yaml")
            for file, schema in _operator_schemas(yaml.safe_load(definition.read_text("utf-8"))):
                (made / "operator" / file).write_text(json.dumps(schema), "utf-8")
        shutil.rmtree(path, ignore_errors=True)
        made.rename(path)


def _run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stderr or done.stdout}")
    return done.stdout


def _standalone(text: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with all definitions that it needs: kubeconform reads one file."""
    needed: dict[str, Any] = {}
    waiting = REFERENCE.findall(text)
    while waiting:
        if (name := waiting.pop()) not in needed:
            needed[name] = definitions[name]
            waiting += REFERENCE.findall(json.dumps(definitions[name]))
    schema = json.loads(text) | {"$defs": needed}
    found: dict[str, Any] = json.loads(REFERENCE.sub(r'"#/$defs/\1"', json.dumps(schema)))
    return found


def _operator_schemas(definition: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the schema of each version of a custom resource, with the file name that `PATTERN` gives."""
    spec = definition["spec"]
    group, kind = spec["group"].partition(".")[0], spec["names"]["kind"].lower()
    return [
        (f"{kind}-{group}-{version['name']}.json", _strict(version["schema"]["openAPIV3Schema"]))
        for version in spec["versions"]
    ]


def _strict(part: Any) -> Any:
    """Return a schema that allows no other keys than it has, as the API server does with strict field validation."""
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _strict(value) for key, value in part.items()}
    if isinstance(part.get("properties"), dict) and "additionalProperties" not in part:
        made["additionalProperties"] = False
    if part.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    return made


SCHEMAS: Final = Counterpart(
    name="kubernetes-schemas",
    path=BUILD / "kubernetes-schemas",
    fingerprint=" ".join((PACKAGE, OPERATOR, *OPERATOR_KINDS, *KUBERNETES, *KINDS)).encode,
    build=build,
    required=False,
)

if __name__ == "__main__":
    SCHEMAS.obtain()
