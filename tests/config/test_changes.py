"""What a reload changes, and what needs a restart."""

from __future__ import annotations

import pytest

from monitor.config import Config, changes, parse, refusals

BASE = """\
location: here
server: {listen: "127.0.0.1:9464"}
state_dir: state
relays:
  - {name: a, url: "wss://a.example.com/x", token: hunter2, headers: {dapp: {X-Key: hunter2}}}
  - {name: b, url: embedded}
probes:
  - {name: steady, scenario: steady-messaging, message_interval: 5s}
  - {name: away, scenario: async-delivery, schedule: {every: 5m}, delay: 30s}
slos:
  - {name: fast, probe: steady, sli: latency, threshold: 400ms, objective: 99%}
"""


def config(*replacements: tuple[str, str], text: str = BASE) -> Config:
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return parse(text, "/etc/monitor/config.yaml", {})


EVERYWHERE = {("a", "steady"), ("b", "steady"), ("a", "away"), ("b", "away")}


def test_the_same_file_read_again_changes_nothing() -> None:
    found = changes(config(), config())
    assert (found.opened, found.closed, found.adjusted) == ((), frozenset(), ())
    assert (found.stopped, found.started) == (frozenset(), ())
    assert refusals(config(), config()) == []


@pytest.mark.parametrize(
    "change",
    [
        ("threshold: 400ms", "threshold: 300ms"),
        ("objective: 99%", "objective: 99.9%"),
        ("slos:", "maintenance: [{cron: '0 3 * * *', duration: 1h}]\nslos:"),
        ("slos:", "references: ['one.example.com:443', 'two.example.net:443']\nslos:"),
        ("slos:", "alerts: {grafana_url: 'https://grafana.example.com'}\nslos:"),
        ("location: here", "location: here\nlocations: [here, there]"),
        ("slos:", "metrics: {detail: lean}\nslos:"),
        ("slos:", "degraded: {failures: 5}\nslos:"),
    ],
)
def test_changes_that_affect_no_probe_stop_nothing(change: tuple[str, str]) -> None:
    found = changes(config(), config(change))
    assert (found.opened, found.closed, found.adjusted, found.stopped) == ((), frozenset(), (), frozenset())


@pytest.mark.parametrize(
    "change",
    [
        "limits: {messages_per_minute: 700}",
        "labels: {team: x}",
        "max_severity: warning",
        "confirm: {every: 1m}",
        "page_after: 1m",
        "scope: regional",
        "owner: wallets",
        "group: eu",
    ],
)
def test_changes_that_need_no_new_connections_adjust_the_relay(change: str) -> None:
    found = changes(config(), config(("token: hunter2", f"token: hunter2, {change}")))
    assert [relay.name for relay in found.adjusted] == ["a"]
    assert (found.opened, found.closed, found.stopped, found.started) == ((), frozenset(), frozenset(), ())


@pytest.mark.parametrize(
    "change",
    [
        ("wss://a.example", "wss://other.example"),
        ("token: hunter2", "token: other"),
        ("X-Key: hunter2", "X-Key: other"),
        ("token: hunter2", "token: hunter2, ip_protocol: ip4"),
        ("token: hunter2", "token: hunter2, origin: 'https://wallet.example.com'"),
        ("token: hunter2", "token: hunter2, endpoints: [{dns: 'a.example.com:443'}]"),
    ],
)
def test_changes_that_need_new_connections_reopen_the_relay_only(change: tuple[str, str]) -> None:
    found = changes(config(), config(change))
    assert [relay.name for relay in found.opened] == ["a"]
    assert found.closed == {"a"}
    assert found.stopped == {("a", "steady"), ("a", "away")}
    assert {(relay, probe.name) for relay, probe in found.started} == found.stopped


def test_another_history_reopens_the_embedded_relay_only() -> None:
    embedded = changes(config(), config(("url: embedded", "url: embedded, history: {size: 5, ttl: 1m}")))
    assert embedded.closed == {"b"}
    other = changes(config(), config(("token: hunter2", "token: hunter2, history: {size: 5, ttl: 1m}")))
    assert not other.closed
    assert [relay.name for relay in other.adjusted] == ["a"]


def test_a_changed_probe_is_restarted_at_all_its_relays() -> None:
    found = changes(config(), config(("message_interval: 5s", "message_interval: 6s")))
    assert found.stopped == {("a", "steady"), ("b", "steady")}
    assert {(relay, probe.message_interval) for relay, probe in found.started} == {("a", 6.0), ("b", 6.0)}
    assert found.opened == ()
    assert not found.forgotten


def test_a_probe_with_another_relay_list_is_not_restarted_at_the_old_relays() -> None:
    found = changes(config(), config(("name: steady,", "name: steady, relays: a,")))
    assert (set(found.stopped), found.started) == ({("b", "steady")}, ())
    back = changes(config(("name: steady,", "name: steady, relays: a,")), config())
    assert [(relay, probe.name) for relay, probe in back.started] == [("b", "steady")]


@pytest.mark.parametrize(
    "change",
    [
        ("  - {name: away, scenario: async-delivery, schedule: {every: 5m}, delay: 30s}\n", ""),
        ("async-delivery, schedule: {every: 5m}, delay: 30s", "realistic-session, schedule: {every: 5m}"),
    ],
)
def test_the_series_of_removed_and_of_different_probes_are_forgotten(change: tuple[str, str]) -> None:
    assert changes(config(), config(change)).forgotten == {("a", "away"), ("b", "away")}


def test_the_probes_of_a_removed_relay_stop() -> None:
    found = changes(config(), config(("  - {name: b, url: embedded}\n", "")))
    assert (set(found.closed), set(found.stopped)) == ({"b"}, {("b", "steady"), ("b", "away")})
    assert (found.opened, found.started) == ((), ())


def test_a_renamed_relay_is_another_relay() -> None:
    found = changes(config(), config(("name: b,", "name: c,")))
    assert found.closed == {"b"}
    assert [relay.name for relay in found.opened] == ["c"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("location: here", "location: there"), "location"),
        (("location: here", "install: other\nlocation: here"), "install"),
        (("127.0.0.1:9464", "127.0.0.1:9465"), "server.listen"),
        (("state_dir: state", "state_dir: elsewhere"), "state_dir"),
        (("state_dir: state", "state_dir: null"), "state_dir"),
    ],
)
def test_changes_that_need_a_restart_are_refused(change: tuple[str, str], key: str) -> None:
    (problem,) = refusals(config(), config(change))
    assert problem.key == key
    assert problem.message.startswith("cannot change from ")
    assert problem.message.endswith(" while the monitor runs: restart it")
