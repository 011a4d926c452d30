"""Write values.schema.json of the Helm chart, and the table of values in docs/kubernetes.md, from values.yaml.

`python -m tests.chart.reference [--check]`. A mapping in block style is a section with these keys and no others; one in
flow style is a default that may be replaced by any other. The comment above a key is its description.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitor.config import schema
from monitor.generated_files import write_or_check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "chart"
VALUES: Final = CHART / "values.yaml"
SCHEMA: Final = CHART / "values.schema.json"
PAGE: Final = ROOT / "docs" / "kubernetes.md"
TABLE_BEGIN: Final = "<!-- values -->\n"
TABLE_END: Final = "<!-- end -->"

QUOTES: Final = '""'
MAX_DEFAULT: Final = 40
"""Longest default in the table, in characters."""

TYPES: Final = {"str": "string", "int": "integer", "bool": "boolean", "seq": "array", "map": "object"}
OWN_FILE: Final = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "minLength": 1}}}
LIMITS: Final[dict[str, dict[str, Any]]] = {
    "check.activeDeadlineSeconds": {"minimum": 1},
    "config": {"if": {"minProperties": 1}, "then": {"$ref": "#/definitions/config"}},
    "image.digest": {"pattern": "^(sha256:[0-9a-f]{64})?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "imagePullSecrets": {"items": {"type": "string"}},
    "logFormat": {"enum": ["json", "console"]},
    "logLevel": {"enum": ["debug", "info", "warning", "error"]},
    "persistence.whenDeleted": {"enum": ["Retain", "Delete"]},
    "persistence.whenScaled": {"enum": ["Retain", "Delete"]},
    "podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"]},
    "podManagementPolicy": {"enum": ["Parallel", "OrderedReady"]},
    "port": {"minimum": 1, "maximum": 65535},
    "secrets": {"items": OWN_FILE},
    "service.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "serviceMonitor.scheme": {"enum": ["http", "https"]},
    "terminationGracePeriodSeconds": {"minimum": 10},
}
"""Path of a value → what its schema says beside the type of its default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A key of values.yaml: its path, description, default, and the keys in it if it is a section."""

    path: str
    description: str
    default: yaml.Node
    keys: tuple[Value, ...]


def values() -> tuple[Value, ...]:
    """Read values.yaml."""
    text = VALUES.read_text("utf-8")
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    return tuple(_values(root, "", text.splitlines()))


def _values(section: yaml.MappingNode, prefix: str, lines: Sequence[str]) -> Iterator[Value]:
    for key, node in section.value:
        path = f"{prefix}{key.value}"
        is_section = isinstance(node, yaml.MappingNode) and not node.flow_style
        inner = tuple(_values(node, f"{path}.", lines)) if is_section else ()
        yield Value(path=path, description=_comment(lines, key.start_mark.line), default=node, keys=inner)


def _comment(lines: Sequence[str], line: int) -> str:
    found: list[str] = []
    while line > 0 and (comment := re.fullmatch(r" *# (.*)", lines[line - 1])):
        found.insert(0, comment[1])
        line -= 1
    return " ".join(found)


def values_schema() -> dict[str, Any]:
    """Return the schema of the chart's values, in the draft that every Helm 3 reads."""
    config = json.loads(json.dumps(schema()).replace("#/$defs/", "#/definitions/"))
    definitions = config.pop("$defs")
    del config["$schema"]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Helm chart of relay-monitor",
        **_section(values()),
        "definitions": {"config": config, **definitions},
    }


def _section(keys: Sequence[Value]) -> dict[str, Any]:
    properties = {value.path.rpartition(".")[2]: _property(value) for value in keys}
    # Helm passes `global` to every chart.
    return {"type": "object", "additionalProperties": False, "properties": properties | _global(keys)}


def _global(keys: Sequence[Value]) -> dict[str, Any]:
    return {} if "." in keys[0].path else {"global": {"type": "object"}}


def _property(value: Value) -> dict[str, Any]:
    described = {"description": value.description} if value.description else {}
    if value.keys:
        return described | _section(value.keys)
    kind = TYPES[value.default.tag.rpartition(":")[2]]
    return described | {"type": kind} | LIMITS.get(value.path, {})


def table() -> str:
    """Return the table of values, as Markdown."""
    rows = ["| value | default | meaning |\n", "|---|---|---|\n"]
    for value in _leaves(values()):
        assert value.description, f"values.yaml: no comment above {value.path}"
        default = yaml.safe_load(yaml.serialize(value.default))
        shown = f"`{json.dumps(default) if not isinstance(default, str) else default or QUOTES}`"
        shown = shown if len(shown) <= MAX_DEFAULT else "see `values.yaml`"
        rows.append(f"| `{value.path}` | {shown} | {value.description.replace('|', '&#124;')} |\n")
    return "".join(rows)


def _leaves(keys: Sequence[Value]) -> Iterator[Value]:
    for value in keys:
        yield from _leaves(value.keys) if value.keys else (value,)


def files() -> dict[Path, str]:
    """Return what this module writes: path → content."""
    before, begins, following = PAGE.read_text("utf-8").partition(TABLE_BEGIN)
    _, ends, after = following.partition(TABLE_END)
    assert begins, f"{PAGE} has no {TABLE_BEGIN}"
    assert ends, f"{PAGE} has no {TABLE_END}"
    return {
        SCHEMA: json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n",
        PAGE: before + begins + table() + ends + after,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or only compare them with `--check`. Returns the exit status."""
    return write_or_check(files(), arguments)


if __name__ == "__main__":
    sys.exit(main())
