from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from monitor.config import schema
from tests import json_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import Draft202012Validator

SHIPPED = (Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return json_schema.validator(schema())


def test_the_shipped_file_is_valid(validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(yaml.safe_load(SHIPPED))] == []


def properties(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        yield from part.get("properties", {}).items()
        for value in part.values():
            yield from properties(value)


def test_every_field_has_a_description() -> None:
    found = list(properties(schema()))
    assert len(found) > 80
    assert [name for name, field in found if not field.get("description")] == []


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({"locations": "local"}, True),
        ({"relays": [{"name": "a", "url": "embedded", "history": {"size": "${SIZE}", "ttl": "${TTL}"}}]}, True),
        ({"relays": [{"name": "a", "url": "embedded", "history": {"ttl": "5"}}]}, False),
        ({"relays": [{"name": "a", "url": "embedded", "history": {"ttl": "1h30m"}}]}, True),
        ({"relays": [{"name": "a", "url": "embedded", "history": {"ttl": ""}}]}, False),
        ({"relays": [{"name": "a", "url": "embedded", "endpoints": {"dns": "a:1"}}]}, True),
        ({"relays": [{"name": "a", "url": "embedded", "headers": {"dapp": {"X": {"file": "x"}}}}]}, True),
        ({"probes": [{"name": "a", "scenario": "steady-state", "schedule": "hourly"}]}, False),
        ({"probes": [{"name": "a", "scenario": "steady-state", "schedule": {"cron": "* * * * *"}}]}, True),
        ({"slos": [{"name": "a", "probe": "b", "sli": "availability", "objective": 0.999}]}, False),
        ({"unknown": 1}, False),
    ],
)
def test_the_schema_accepts_and_rejects_what_the_models_do(
    validator: Draft202012Validator, change: dict[str, Any], *, valid: bool
) -> None:
    assert validator.is_valid(yaml.safe_load(SHIPPED) | change) is valid
