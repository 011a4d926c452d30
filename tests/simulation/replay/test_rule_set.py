"""Rules from a configuration and from a rule file, and the settings of relays in recorded series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from monitor.errors import ConfigError, StartupError
from monitor.simulation.promql import Series, labels
from monitor.simulation.replay.rule_set import RuleSet, load_rule_set
from monitor.slo.rules import Alert, rules_file
from tests.simulation.replay import world

if TYPE_CHECKING:
    from pathlib import Path

NEW = RuleSet.of_config("new.yaml", world.load(world.config()))


def loaded(tmp_path: Path, text: str | bytes) -> RuleSet:
    path = tmp_path / "old.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_rule_set(path, {}, NEW)


@pytest.mark.parametrize("operator", [False, True])
def test_a_generated_rule_file_has_the_rules_of_its_configuration(tmp_path: Path, operator: bool) -> None:
    assert NEW.config is not None
    found = loaded(tmp_path, rules_file(NEW.config, operator=operator))
    assert found.config is None
    assert [group.name for group in found.groups] == [group.name for group in NEW.groups]
    for mine, theirs in zip(found.groups, NEW.groups, strict=True):
        assert mine.interval == theirs.interval
        for rule, other in zip(mine.rules, theirs.rules, strict=True):
            assert (rule.name, rule.expr) == (other.name, other.expr)
            if isinstance(rule, Alert) and isinstance(other, Alert):
                assert (rule.pending_for, rule.keep_firing_for) == (other.pending_for, other.keep_firing_for)
                assert rule.capped is other.capped


def test_a_configuration_is_known_by_its_keys(tmp_path: Path) -> None:
    found = loaded(tmp_path, world.config(alpha_page_after="5m"))
    assert found.config is not None
    assert found.config.relays[0].page_after == 300.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("groups: [{name: g, rules: [{alert: A}]}]", "is not a rule file: Object missing required field `expr`"),
        ("groups: [{name: g, rules: [{expr: up}]}]", "a rule of group g has neither `record` nor `alert`"),
        ("groups: [{name: g, rules: [{alert: A, expr: 'up ~ 1'}]}]", "rule A of group g: unexpected '~'"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, for: soon}]}]", "rule A of group g: is not a duration"),
        (
            "groups: [{name: g, rules: [{alert: A, expr: b, labels: {severity: critical}}, {record: b, expr: up}]}]",
            "rule A reads b, which a later rule records",
        ),
        ("groups: [", "is not YAML"),
        ("groups: [{name: g, labels: {team: a}, rules: []}]", "`labels` of group g is not supported"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, for: 30}]}]", "rule A of group g: is not a duration"),
    ],
)
def test_a_rule_file_that_cannot_be_replayed_says_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StartupError, match=r"old\.yml: ") as raised:
        loaded(tmp_path, text)
    assert message in str(raised.value)


def test_a_wait_may_be_the_number_zero(tmp_path: Path) -> None:
    rules = loaded(tmp_path, "groups: [{name: g, rules: [{alert: A, expr: up, for: 0, labels: {severity: critical}}]}]")
    assert [rule.name for group in rules.groups for rule in group.rules] == ["A"]


def test_an_invalid_configuration_is_reported_as_by_check(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"old\.yml:1: relay"):
        loaded(tmp_path, "relay: []")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be read: No such file"):
        load_rule_set(tmp_path / "missing.yml", {}, NEW)


def info(relay: str, times: list[float], *, ends: bool = False, **of: str) -> Series:
    """Return a series of a relay's settings, with a stale marker after its last sample if it `ends`."""
    at = np.array([*times, *([times[-1] + 15.0] if ends else [])])
    values = np.array([1.0] * len(times) + [np.nan] * ends)
    return Series("relay_probe_relay_info", labels(relay=relay, **of), at, values)


def test_relays_have_the_settings_of_the_configuration() -> None:
    rules = RuleSet.of_config("new.yaml", world.load(world.config(alpha_page_after="5m")))
    recorded = [
        info("alpha", [0.0, 15.0, 30.0], ends=True, page_after="30s", scope="regional"),
        info("alpha", [45.0, 60.0], ends=True, page_after="1m", scope="global"),
        info("removed", [0.0]),
        Series("relay_up", labels(relay="removed"), np.array([0.0]), np.array([1.0])),
        Series("relay_up", labels(relay="alpha"), np.array([0.0]), np.array([1.0])),
    ]
    found = {each.name: each for each in rules.exported(recorded, 15.0)}
    assert len(found) == 2
    assert found["relay_up"].get("relay") == "alpha"
    settings = found["relay_probe_relay_info"]
    assert (settings.get("page_after"), settings.get("scope")) == ("5m", "global")
    # One series goes on where the other ends: only the last marker remains.
    assert settings.times.tolist() == [0.0, 15.0, 30.0, 45.0, 60.0, 75.0]
    assert np.isnan(settings.values).tolist() == [False] * 5 + [True]


def test_a_rule_file_leaves_series_as_they_were_recorded(tmp_path: Path) -> None:
    assert NEW.config is not None
    rules = loaded(tmp_path, rules_file(NEW.config))
    series = [info("removed", [0.0], page_after="1m")]
    assert rules.exported(series, 15.0) == series
