from __future__ import annotations

from monitor.config import parse
from monitor.slo.generate import generated


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
    assert made[made.index("| delivery") :].splitlines() == [
        "| delivery | availability | steady | all | 99.9% | – | 30d |",
        "| round-trip | latency | steady | demo | 99% | 400ms | 7d |",
        "| round-trip | latency | steady | stage | 95% | 1s | 7d |",
    ]
    assert "<http://mon.example.com/>" in made
