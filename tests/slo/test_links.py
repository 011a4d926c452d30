"""The links of every alert lead to dashboards with these variables and to runbooks of this repository.

`tests/e2e` and `make texts` open the pages of a real monitor.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from monitor.config import parse
from monitor.slo import dashboards
from monitor.slo.rules import rules_file
from tests.relays import ROOT
from tests.slo.rules.text_cases import CONFIG

SHIPPED = (ROOT / "config.yaml").read_text("utf-8")


def texts_of(text: str) -> list[dict[str, str]]:
    """Return the annotations of every alert."""
    made: dict[str, Any] = yaml.safe_load(rules_file(parse(text, "config.yaml", {})))
    return [rule["annotations"] for group in made["groups"] for rule in group["rules"] if "alert" in rule]


@pytest.mark.parametrize(
    "text", [SHIPPED, CONFIG, f"install: prod.eu\n{CONFIG}"], ids=["shipped", "locations", "install"]
)
def test_every_dashboard_exists_with_the_variables_of_its_link(text: str) -> None:
    made = dashboards.files(parse(text, "config.yaml", {}))
    boards = {
        board["uid"]: board for board in (json.loads(each) for path, each in made.items() if path.endswith(".json"))
    }
    for texts in texts_of(text):
        uid, _, query = texts["dashboard_url"].partition("/d/")[2].partition("?")
        known = {each["name"] for each in boards[uid]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", query)) <= known
        assert {"install"} <= set(re.findall(r"var-(\w+)=", query))
        assert "from=" in query
        assert query.endswith("&to=now")


def test_every_runbook_is_in_the_repository() -> None:
    for texts in texts_of(SHIPPED):
        assert (ROOT / "docs" / "runbooks" / texts["runbook_url"].rpartition("/")[2]).is_file()


def test_pages_and_incidents_are_those_of_the_relay() -> None:
    for texts in texts_of(SHIPPED):
        path = texts["page_url"].removeprefix("http://127.0.0.1:9464")
        if "incident_url" in texts:
            assert path == "/?relay={{ $labels.relay | urlquery }}"
            assert texts["incident_url"].endswith("/incidents?relay={{ $labels.relay | urlquery }}")
        else:
            assert path == "/"
