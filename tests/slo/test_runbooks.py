from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import yaml

from monitor.config import parse
from monitor.reachability.persistent import SILENT_MESSAGES
from monitor.slo.generate import generated
from monitor.slo.runbooks import RELAY, runbooks
from monitor.web.meanings import meanings
from tests.e2e.programs import PROMTOOL, find
from tests.relays import ROOT
from tests.slo.rules.promtool import run

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = parse((ROOT / "config.yaml").read_text("utf-8"), "config.yaml", {})


def test_a_runbook_has_the_objectives_of_each_relay_and_the_on_call_page() -> None:
    text = """
relays: [{name: demo, url: embedded}, {name: stage, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
slos:
  - {name: delivery, probe: steady, sli: availability, objective: 99.9%}
  - name: round-trip
    probe: steady
    sli: latency
    threshold: 400ms
    objective: 99%
    window: 7d
    overrides: {stage: {objective: 95%, threshold: 1s}}
alerts: {external_url: "http://mon.example.com/"}
"""
    made = generated(parse(text, "config.yaml", {}))["docs/runbooks/RelayErrorBudgetBurn.md"].decode()
    table = made[made.index("| delivery") : made.index("## Rule")]
    assert table.strip().splitlines() == [
        "| delivery | availability | steady | all | 99.9% | – | 30d |",
        "| round-trip | latency | steady | demo | 99% | 400ms | 7d |",
        "| round-trip | latency | steady | stage | 95% | 1s | 7d |",
    ]
    assert "(http://mon.example.com/?relay=RELAY)" in made


def test_503_is_never_only_a_load_balancer_without_backends() -> None:
    """Centrifugo answers with it, without a body, at its own connection limit."""
    made = generated(CONFIG)
    pages = [made[f"docs/runbooks/{name}.md"].decode() for name in ("RelayDown", "RelayNotAccepting")]
    said = [sentence for page in pages for sentence in re.findall(r"[^.]*\b503\b[^.]*", page)]
    assert len(said) == 2
    assert [sentence for sentence in said if "connection limit" not in sentence] == []
    assert "503: the same, or a limit of the relay, such as its connection limit" in (
        meanings().reasons["http_status"].look_first
    )


def test_runbooks_link_only_to_each_other_and_to_the_monitors_pages() -> None:
    """So that a server of that folder alone has all that they need."""
    text = """
location: fra
relays: [{name: demo, url: embedded}]
probes: [{name: steady, scenario: steady-messaging}]
alerts: {external_url: "https://{location}-{shard}.example.com/"}
"""
    files = generated(parse(text, "config.yaml", {}))
    made = {name.rpartition("/")[2]: page.decode() for name, page in files.items() if name.startswith("docs/runbooks/")}
    links = {link for page in made.values() for link in re.findall(r"\]\(([^)]*)\)", page)}
    monitor = {link for link in links if link.startswith("https://fra-0.example.com/")}
    assert {"https://fra-0.example.com/faults", "https://fra-0.example.com/?relay=RELAY"} <= monitor
    assert {link.partition("#")[0] for link in links - monitor} <= made.keys()
    assert "PAGE/" not in "".join(made.values())


def test_the_list_of_runbooks_has_each_with_its_severities_and_headline() -> None:
    rows = (ROOT / "docs" / "runbooks" / "README.md").read_text("utf-8").splitlines()
    for name, runbook in runbooks(CONFIG).items():
        (row,) = (row for row in rows if row.startswith(f"| [{name}]({name}.md) | "))
        severities = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text("utf-8").splitlines()[2]
        _, headline, severity = row.removesuffix(" |").split(" | ")
        assert f"*{severity}.* {headline}" == severities
        assert headline == runbook.headline


@pytest.mark.required_counterpart("promtool")
def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"runbook:{name}:step{number}", "expr": step.query}
        for name, runbook in runbooks(CONFIG).items()
        for number, step in enumerate(runbook.steps)
        if step.query is not None
    ]
    assert len(rules) > 50
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "runbooks", "rules": rules}]}), encoding="utf-8")
    run(find(PROMTOOL), "check", "rules", file)


def test_every_query_is_about_the_install_and_the_relay_of_the_alert() -> None:
    for name, runbook in runbooks(CONFIG).items():
        for query in (step.query for step in runbook.steps if step.query is not None):
            for selector in re.findall(r"\b(?:relay|slo)[_:][\w:]+\{([^}]*)\}", query):
                assert 'install="default"' in selector, f"{name}: {query}"
            assert not re.search(r"\b(?:relay|slo)[_:][\w:]+(?![\w:{])", query), f"{name}: {query}"
            assert 'relay="' not in query.replace(f'relay="{RELAY}"', ""), f"{name}: {query}"


def test_every_runbook_begins_with_severities_and_a_plain_headline() -> None:
    for name, runbook in runbooks(CONFIG).items():
        title, _, line = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text("utf-8").splitlines()[:3]
        assert title == f"# {name}"
        assert re.fullmatch(r"\*[a-z]+( and [a-z]+)?\.\* .+", line), line
        assert line.endswith(f"* {runbook.headline}")
        assert not re.search(r"  | [,.;:)]|\( |\s$|[{}<>]|\bago\b", line), line


def test_every_runbook_has_numbered_steps_neighbours_and_who_is_next() -> None:
    for name, runbook in runbooks(CONFIG).items():
        page = (ROOT / "docs" / "runbooks" / f"{name}.md").read_text("utf-8")
        assert re.findall(r"(?m)^(\d+)\. ", page) == [str(number + 1) for number in range(len(runbook.steps))]
        assert page.index("## Steps") < page.index("## When to escalate, and to whom") < page.index("## Rule")
        assert runbook.neighbours
        assert runbook.escalate


def test_a_silent_node_is_found_after_as_many_messages_as_its_runbook_says() -> None:
    assert SILENT_MESSAGES == 3
    assert runbooks(CONFIG)["RelayPartialFailure"].meaning.startswith("Three messages in a row")
