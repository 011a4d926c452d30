"""Whole files: the shipped one, and a folder of bad ones that are marked with their problems.

In bad/*.yaml a wrong line ends in `#! KEY | PART OF THE MESSAGE`, once for each problem.
"""

from __future__ import annotations

import operator
import os
import re
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import Continuous, Every, SecretFile, document, load, parse
from monitor.config.document import MAX_BYTES, show_path
from monitor.errors import ConfigError, StartupError
from monitor.scenarios import CONTINUOUS, Scenario
from tests.config.revealed import headers_of, token_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from monitor.config.document import KeyPath, Node

ROOT = Path(__file__).parents[2]
BAD = sorted((Path(__file__).parent / "bad").glob("*.yaml"))
ENVIRON = {"EMPTY": ""}

MINIMAL = """
relays: [{name: demo, url: embedded}]
probes: [{name: idle, scenario: steady-state}]
"""


def marked(path: Path) -> list[tuple[int, str, str]]:
    """The problems that a file is marked with: line, key, part of the message."""
    return [
        (number, key.strip(), part.strip())
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for key, part in re.findall(r"#! ([^|]*)\|((?:(?!  #!).)*)", line)
    ]


def problems_of(text: str, environ: dict[str, str] | None = None) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigError) as raised:
        parse(text, "config.yaml", environ or {})
    return [(problem.line, problem.key, problem.message) for problem in raised.value.problems]


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_a_bad_file_has_exactly_the_problems_it_is_marked_with(path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(path, ENVIRON)
    found = [(problem.line, problem.key) for problem in raised.value.problems]
    expected = marked(path)
    assert found == sorted((line, key) for line, key, _ in expected), str(raised.value)
    for line, key, part in expected:
        messages = [problem.message for problem in raised.value.problems if (problem.line, problem.key) == (line, key)]
        assert any(part in message for message in messages), f"{path.name}:{line}: {key}: {messages}"
    assert "hunter2" not in str(raised.value)


def test_ten_different_problems_are_found_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        load(Path(__file__).parent / "bad" / "ten-at-once.yaml", {})
    assert len(raised.value.problems) == 10
    assert len({re.sub(r"'.*?'|\d+", "", problem.message) for problem in raised.value.problems}) == 10


def test_a_problem_is_shown_with_file_line_and_key() -> None:
    with pytest.raises(ConfigError) as raised:
        parse(MINIMAL + "state_dri: x\n", "config.yaml", {})
    assert str(raised.value) == "config.yaml:4: state_dri: is not a key here; did you mean state_dir?"


def test_the_shipped_file_is_valid() -> None:
    config = load(ROOT / "config.yaml", {})
    assert [probe.scenario for probe in config.probes] == [
        "steady-messaging", "steady-state", "async-delivery", "realistic-session",
    ]  # fmt: skip
    assert [slo.sli for slo in config.slos] == [
        "latency", "availability", "stability", "availability", "pairing", "trend",
    ]  # fmt: skip
    assert config.server.listen == "127.0.0.1:9464"
    assert all(probe.relays == ("demo",) for probe in config.probes)


def test_the_shipped_file_listens_where_the_container_says() -> None:
    server = load(ROOT / "config.yaml", {"RELAY_MONITOR_LISTEN": "[::]:9000"}).server
    assert (server.host, server.port) == ("::", 9000)


def test_two_lines_are_enough() -> None:
    config = parse(MINIMAL, "config.yaml", {})
    assert config.location == "local"
    assert config.locations == ("local",)
    assert isinstance(config.probes[0].schedule, Continuous)


def test_the_locations_default_to_this_one() -> None:
    assert parse("location: here\n" + MINIMAL, "config.yaml", {}).locations == ("here",)


def test_relays_left_out_means_all_of_them() -> None:
    config = parse(
        """
        relays: [{name: a, url: embedded}, {name: b, url: embedded}]
        probes: [{name: idle, scenario: steady-state}, {name: one, scenario: steady-state, relays: b}]
        maintenance: [{cron: "0 3 * * *", duration: 1h}]
        """,
        "config.yaml",
        {},
    )
    assert [probe.relays for probe in config.probes] == [("a", "b"), ("b",)]
    assert config.maintenance[0].relays == ("a", "b")


def test_continuous_is_the_default_of_scenarios_that_can_be() -> None:
    probes = "".join(
        f"\n  - {{name: {scenario}, scenario: {scenario}{'' if scenario in CONTINUOUS else ', schedule: {every: 5m}'}}}"
        for scenario in Scenario
    )
    config = parse(f"relays: [{{name: demo, url: embedded}}]\nprobes:{probes}", "config.yaml", {})
    assert {probe.name for probe in config.probes if probe.is_continuous} == {"steady-messaging", "steady-state"}
    assert {probe.schedule for probe in config.probes if not probe.is_continuous} == {Every(every=300.0)}
    assert [probe.messages for probe in config.probes if probe.scenario is Scenario.REALISTIC_SESSION] == [3]
    assert [probe.messages for probe in config.probes if probe.scenario is Scenario.ASYNC_DELIVERY] == [1]


@pytest.mark.parametrize("scenario", sorted({*Scenario} - CONTINUOUS))
def test_a_bounded_scenario_needs_a_schedule(scenario: Scenario) -> None:
    text = f"relays: [{{name: demo, url: embedded}}]\nprobes:\n  - name: a\n    scenario: {scenario}\n"
    assert problems_of(text) == [
        (3, "probes[0].schedule", "is missing; expected {every: 5m} or {cron: …, timezone: …}")
    ]


def test_a_run_may_take_all_of_its_period() -> None:
    text = """\
relays: [{name: demo, url: embedded}]
probes: [{name: away, scenario: async-delivery, schedule: {every: 45s}, delay: 30s, timeout: 5s}]
"""
    assert parse(text, "config.yaml", {}).probes[0].deadline == 45.0
    assert [key for _, key, _ in problems_of(text.replace("45s", "44s"))] == ["probes[0].timeout"]


def test_a_bounded_steady_run_lasts_a_minute_by_default() -> None:
    config = parse(
        """
        relays: [{name: demo, url: embedded}]
        probes:
          - {name: a, scenario: steady-state, schedule: {every: 5m}}
          - {name: b, scenario: steady-state}
          - {name: c, scenario: connection-storm, schedule: {every: 5m}}
        """,
        "config.yaml",
        {},
    )
    assert [probe.duration for probe in config.probes] == [60.0, None, None]


def test_a_number_may_come_from_the_environment() -> None:
    text = """
        relays: [{name: "${NAME}", url: embedded}]
        probes: [{name: steady, scenario: steady-messaging, pairs: "${PAIRS}", timeout: "${TIMEOUT:-2s}"}]
        """
    probe = parse(text, "config.yaml", {"NAME": "demo", "PAIRS": "3"}).probes[0]
    assert (probe.pairs, probe.timeout, probe.relays) == (3, 2.0, ("demo",))


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "config.yaml").write_text(
        "state_dir: journal\n"
        "relays: [{name: demo, url: 'wss://relay.example.com/x', token_file: secret,"
        " headers: {dapp: {X-Key: {file: secret}, X-Other: abc}}}]\n"
        "probes: [{name: idle, scenario: steady-state}]\n"
    )
    config = load(tmp_path / "config.yaml", {})
    relay = config.relays[0]
    assert config.state_dir == tmp_path / "journal"
    assert relay.headers.dapp["X-Key"] == SecretFile(file=tmp_path / "secret")
    assert token_of(relay) == "s3cret"
    assert headers_of(relay.headers.dapp) == {"X-Key": "s3cret", "X-Other": "abc"}
    assert headers_of(relay.headers.wallet) == {}


NAMING_FILES = """\
server: {web_config_file: named}
relays:
  - name: demo
    url: wss://relay.example.com/x
    token_file: named
    headers: {dapp: {X-Key: {file: named}}}
    tls: {ca_file: named, cert_file: named, key_file: named}
probes: [{name: idle, scenario: steady-state}]
prometheus: {url: "https://p", username: u, password_file: named, ca_file: named}
drill: {token_file: named}
"""


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_for_every_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "named")
    with pytest.raises(ConfigError) as raised:
        parse(NAMING_FILES, str(tmp_path / "config.yaml"), {})
    why = f"cannot be read as {tmp_path / 'named'}: Is not a regular file; "
    assert [(problem.line, problem.key) for problem in raised.value.problems if why in problem.message] == [
        (1, "server.web_config_file"),
        (5, "relays[0].token_file"),
        (6, "relays[0].headers.dapp.X-Key.file"),
        (7, "relays[0].tls.ca_file"),
        (7, "relays[0].tls.cert_file"),
        (7, "relays[0].tls.key_file"),
        (9, "prometheus.ca_file"),
        (9, "prometheus.password_file"),
        (10, "drill.token_file"),
    ]


def test_a_file_can_be_a_link_as_kubernetes_mounts_secrets(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "named").write_text("s3cret\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "named").symlink_to("..data/named")
    assert token_of(parse(NAMING_FILES, str(tmp_path / "config.yaml"), {}).relays[0]) == "s3cret"


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "missing.yaml"
    with pytest.raises(StartupError) as raised:
        load(path, {})
    assert str(raised.value) == f"{path}: the configuration cannot be read: No such file or directory"


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=f"is larger than {MAX_BYTES} bytes"):
        load(path, {})


def test_bytes_that_are_not_text_are_reported_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"location: local\nrelays: \xff\n")
    with pytest.raises(ConfigError) as raised:
        load(path, {})
    assert [(problem.line, problem.message) for problem in raised.value.problems] == [(2, "is not UTF-8 text")]


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(MINIMAL, encoding="utf-8-sig")
    assert load(path, {}).relays[0].name == "demo"


def test_a_problem_hides_no_other_that_does_not_depend_on_it() -> None:
    text = """\
relays:
  - {name: demo, url: embedded, history: {size: 5, ttl: 1m}, limits: {connects_per_minute: x}}
probes:
  - {name: away, scenario: async-delivery, schedule: {every: 5m}, timeout: 5, delay: 2m, messages: 6}
"""
    # delay + timeout cannot be judged: the timeout is not known.
    assert [(line, key) for line, key, _ in problems_of(text)] == [
        (2, "relays[0].limits.connects_per_minute"),
        (4, "probes[0].messages"),
        (4, "probes[0].timeout"),
    ]


# One of everything, and three problems between values: of a relay, of a probe and of an SLO.
EVERYTHING = """
install: prod
location: here
locations: [here, there]
shards: 1
server: {listen: "127.0.0.1:0", web_config_file: config.yaml}
state_dir: state
references: ["a.example.com:443", "b.example.com:443"]
relays:
- {name: one, url: "wss://one.example.com/x", token: abc, token_file: config.yaml}
- name: two
  url: wss://two.example.com/x
  endpoints: ["wss://a.example.com/x", {dns: "b.example.com:443"}]
  ip_protocol: any
  history: {size: 20, ttl: 5m}
  limits: {connects_per_minute: 1000, messages_per_minute: 10000}
  labels: {team: a}
  max_severity: warning
  confirm: {attempts: 3, within: 10s, every: 30s}
  page_after: 30s
  scope: regional
  owner: wallets
  group: eu
  headers: {dapp: {X-A: a, X-B: {file: config.yaml}}, wallet: {X-A: a}}
  origin: https://two.example.com
  tls: {ca_file: config.yaml, server_name: two}
  centrifugo_selector: job="centrifugo"
probes:
- {name: idle, scenario: steady-state, pairs: 2}
- {name: steady, scenario: steady-messaging, relays: two, schedule: continuous}
- {name: away, scenario: async-delivery, relays: [one, two], schedule: {every: 5m}, delay: 30s, messages: 2}
- {name: user, scenario: realistic-session, schedule: {cron: "*/5 * * * *", timezone: UTC}, crypto: real}
slos:
- {name: idle, probe: idle, sli: availability, threshold: 1s, objective: 99%}
- {name: user, probe: [steady, user], sli: latency, threshold: 1s, objective: 99%, overrides: {two: {threshold: 2s}}}
- {name: trend, probe: steady, sli: trend, window: 1d, factor: 1.2}
maintenance:
- {relays: [one, two], cron: 0 3 * * *, timezone: UTC, duration: 1h, reason: new disks}
prometheus: {url: "http://prometheus:9090", scrape_interval: 15s, evaluation_interval: 15s}
degraded: {window: 5m, failure_ratio: 5%, failures: 3}
metrics: {detail: lean}
alerts: {runbook_base_url: "https://runbooks.example.com", labels: {team: a}}
"""
RESTS_ON = {
    "relays[0].token_file": {"relays[0].token", "relays[0].token_file"},
    "probes[0].pairs": {"probes[0].scenario", "probes[0].pairs"},
    "slos[0].threshold": {"slos[0].sli", "slos[0].threshold"},
}


def paths_in(node: Node, path: KeyPath = ()) -> Iterator[KeyPath]:
    yield from [path] * bool(path)
    for key, child in (node.entries or {}).items():
        yield from paths_in(child, (*path, key))
    for index, child in enumerate(node.items or ()):
        yield from paths_in(child, (*path, index))


@pytest.mark.parametrize("path", [*paths_in(document.read(EVERYTHING, {}).root)], ids=show_path)
def test_any_wrong_value_is_one_problem_and_hides_none_that_does_not_depend_on_it(
    path: KeyPath, tmp_path: Path
) -> None:
    data = yaml.load(EVERYTHING, yaml.BaseLoader)  # noqa: S506 - it makes text alone
    reduce(operator.getitem, path[:-1], data)[path[-1]] = [[]]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "config.yaml", {})
    keys = [problem.key for problem in raised.value.problems]
    spoilt = show_path(path)
    left = [key for key, values in RESTS_ON.items() if not any(value.startswith(spoilt) for value in values)]
    assert [key for key in keys if key in left] == left
    (own,) = [key for key in keys if key not in left]
    assert own.startswith(spoilt)


def test_a_variable_that_is_not_set_is_one_problem_and_not_two() -> None:
    text = MINIMAL.replace("embedded", "'${URL}'")
    assert [(line, key) for line, key, _ in problems_of(text)] == [(2, "relays[0].url")]


def test_a_variable_never_becomes_structure_and_is_never_shown() -> None:
    text = MINIMAL + "state_dir: ${DIR}\nlocation: ${PLACE}\n"
    environ = {"DIR": "x\nserver: {listen: 'evil'}", "PLACE": "hunter 2"}
    found = problems_of(text, environ)
    assert [(line, key) for line, key, _ in found] == [(5, "location")]
    assert "hunter" not in found[0][2]


SCALARS = st.sampled_from(
    [None, True, -1, 100, "", "5s", "99%", "demo", "embedded", "steady-state", "${X}", "$", "a\nb"]
)
KEYS = st.sampled_from(
    [
        "relays", "probes", "slos", "name", "url", "scenario", "schedule", "every", "cron",
        "history", "headers", "dapp", "tls", "endpoints", "dns", "overrides", "labels",
        "server", "listen", "maintenance", "odd",
    ]
)  # fmt: skip
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=30,
)


@given(DOCUMENTS)
def test_the_problems_of_any_document_have_a_line_in_it(data: object) -> None:
    text = yaml.safe_dump(data)
    for line, _, message in problems_of(text):
        assert message
        assert 0 < line <= len(text.splitlines())


@given(st.text())
def test_any_text_is_rejected_with_problems(text: str) -> None:
    assert problems_of(text)
