"""The command `schema`."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.cli.commands import monitor
from tests.json_schema import validator
from tests.relays import ROOT

pytestmark = pytest.mark.integration


class TestSchema:
    def test_it_is_a_schema_of_the_shipped_file(self) -> None:
        done = monitor("schema")
        assert (done.returncode, done.stderr) == (0, "")
        schema = json.loads(done.stdout)
        shipped = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
        assert [error.message for error in validator(schema).iter_errors(shipped)] == []
