"""A reload tells what it changes, key by key, and no secret."""

from __future__ import annotations

import pytest

from monitor.config import parse
from monitor.config.audit import MAX_CHANGES, audit, texts_of

RELAY = "name: a, url: 'wss://a.example/x'"
PROBE = "name: steady, scenario: steady-messaging"


def changed(before: str, after: str) -> list[str]:
    return texts_of(audit(parse(before, "m.yaml", {}), parse(after, "m.yaml", {})))


def config(relay: str = RELAY, probe: str = PROBE, more: str = "") -> str:
    return f"relays:\n  - {{{relay}}}\nprobes:\n  - {{{probe}}}\n{more}"


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (config(), []),
        (config(f"{RELAY}, page_after: 1m"), ["relays[a].page_after: 30s → 1m"]),
        (config(f"{RELAY}, confirm: {{attempts: 5}}"), ["relays[a].confirm.attempts: 3 → 5"]),
        (config(f"{RELAY}, labels: {{team: wallets}}"), ["relays[a].labels[team]: added"]),
        (config(f"{RELAY}, owner: wallets"), ["relays[a].owner: null → wallets"]),
        (config(probe=f"{PROBE}, pairs: 3"), ["probes[steady].pairs: 2 → 3"]),
        (config(probe=f"{PROBE}, schedule: {{every: 5m}}, duration: 1m"), ["probes[steady].schedule", "duration"]),
        (config(more="references: ['r.example:443', 's.example:443']\n"), ["references: added r.example:443, s.ex"]),
        (
            config(more="maintenance: [{cron: '0 4 * * *', duration: 1h, reason: backup}]\n"),
            ["maintenance[0]: added"],
        ),
        (
            config(more="slos: [{name: s, probe: steady, sli: availability, objective: 99.5%, window: 30d}]\n"),
            ["slos[s]: added"],
        ),
    ],
)
def test_a_change_has_its_key_and_both_values(after: str, expected: list[str]) -> None:
    found = changed(config(), after)
    assert bool(found) == bool(expected)
    text = "\n".join(found)
    assert all(part in text for part in expected), text


def test_relays_and_probes_are_compared_by_name() -> None:
    before = f"relays: [{{{RELAY}}}]\nprobes: [{{{PROBE}}}]\n"
    after = f"relays: [{{name: b, url: 'wss://b.example/x'}}, {{{RELAY}}}]\nprobes: [{{{PROBE}}}]\n"
    assert changed(before, after) == ["relays[b]: added", "probes[steady].relays: added b"]
    assert changed(after, before) == ["relays[b]: removed", "probes[steady].relays: removed b"]


def test_an_objective_is_shown_as_it_is_written() -> None:
    slo = "slos: [{{name: s, probe: steady, sli: latency, threshold: {}, objective: {}, window: 30d}}]\n"
    assert changed(config(more=slo.format("400ms", "99%")), config(more=slo.format("1s", "99.9%"))) == [
        "slos[s].threshold: 400ms → 1s",
        "slos[s].objective: 99% → 99.9%",
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("token: hunter2", "token: hunter3"),
        ("headers: {dapp: {X-Key: hunter2}}", "headers: {dapp: {X-Key: hunter3}}"),
        ("headers: {dapp: {X-Key: hunter2}}", "headers: {wallet: {X-Other: hunter3}}"),
        ("token: hunter2", "owner: nobody"),
    ],
)
def test_a_secret_is_not_shown(before: str, after: str) -> None:
    found = changed(config(f"{RELAY}, {before}"), config(f"{RELAY}, {after}"))
    assert found
    assert "hunter" not in str(found)


def test_the_query_of_a_url_is_not_shown() -> None:
    url = "name: a, url: 'wss://a.example/x?token={}'"
    assert changed(config(url.format("hunter2")), config(url.format("hunter3"))) == [
        "relays[a].url: wss://a.example/x?… → wss://a.example/x?…"
    ]


def test_many_changes_are_counted() -> None:
    many = "".join(f"  - {{name: r{number}, url: 'wss://a.example/{number}'}}\n" for number in range(MAX_CHANGES + 20))
    after = f"relays:\n  - {{{RELAY}}}\n{many}probes: [{{{PROBE}}}]\n"
    found = changed(config(), after)
    assert (len(found), found[-1]) == (MAX_CHANGES + 1, "21 more")
    assert all(len(text) < 250 for text in found)
